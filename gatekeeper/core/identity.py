"""Who the user is, as header lines for the application."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from gatekeeper.core.session import HeaderList, UserRecord


class IdentityNames(NamedTuple):
    """The header names that the application reads. "" leaves one out."""

    user: str = "Remote-User"
    name: str = "Remote-Name"
    email: str = "Remote-Email"
    groups: str = "Remote-Groups"
    rfc8187: bool = False
    """Whether values beyond ASCII are written as in RFC 8187 instead of in UTF-8."""


def header_maker(names: IdentityNames) -> Callable[[UserRecord], HeaderList]:
    """A function that makes a user's identity headers, once per session read, not per request.

    Roles are joined by commas (what Authelia and Traefik's examples send). Control characters, which
    accounts refuse anyway, are taken out here once more: a header line is where they would do harm.
    """
    keys = tuple(name.lower().encode("ascii") for name in names[:4])
    written = _extended if names.rfc8187 else _utf_8

    def make(user: UserRecord) -> HeaderList:
        values = (
            written(user.login),
            written(user.name),
            written(user.email),
            b",".join(map(written, user.roles)),
        )
        return tuple((key, value) for key, value in zip(keys, values, strict=True) if key and value)

    return make


def _clean(text: str) -> str:
    """Without control characters (C0, DEL, C1) and lone surrogates, which no encoding has."""
    return "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs")).strip()


def _utf_8(text: str) -> bytes:
    return _clean(text).encode("utf-8")


def _extended(text: str) -> bytes:
    """As it is when it is ASCII, else an ext-value (RFC 8187 section 3.2.1): `UTF-8''` and percent-encoded.

    What only looks like one is encoded, too, so that there is one way to read it back. Each role by itself:
    no encoded one holds a comma.
    """
    text = _clean(text)
    if text.isascii() and not text.lower().startswith(_EXTENDED.lower()):
        return text.encode("ascii")
    return (_EXTENDED + quote(text, safe=_ATTRIBUTE_CHARACTERS)).encode("ascii")


_EXTENDED = "UTF-8''"
_ATTRIBUTE_CHARACTERS = "!#$&+^`|"
"""Besides letters, digits and `-._~` (RFC 8187 section 3.2.1, attr-char)."""
