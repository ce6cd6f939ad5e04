"""Who the user is, as header lines for the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gatekeeper.core.session import HeaderList, UserRecord


class IdentityNames(NamedTuple):
    """The header names that the application reads. "" leaves one out."""

    user: str = "Remote-User"
    name: str = "Remote-Name"
    email: str = "Remote-Email"
    groups: str = "Remote-Groups"


def header_maker(names: IdentityNames) -> Callable[[UserRecord], HeaderList]:
    """A function that makes a user's identity headers, once per session read, not per request.

    Roles are joined by commas (what Authelia and Traefik's examples send). Control characters, which
    accounts refuse anyway, are taken out here once more: a header line is where they would do harm.
    """
    keys = tuple(name.lower().encode("ascii") for name in names)

    def make(user: UserRecord) -> HeaderList:
        values = (user.login, user.name, user.email, ",".join(user.roles))
        return tuple((key, _value(value)) for key, value in zip(keys, values, strict=True) if key and value)

    return make


def _value(text: str) -> bytes:
    return "".join(char for char in text if char >= " " and char != "\x7f").strip().encode("utf-8")
