"""`identity`: the headers in which the application learns who is asking."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, model_validator

from gatekeeper.settings.base import Misfit, Section
from gatekeeper.settings.names import check_header


def _header_or_none(text: str) -> str:
    return check_header(text) if text else text


HeaderName = Annotated[str, AfterValidator(_header_or_none)]


class IdentitySettings(Section):
    """Names of headers; `""` leaves one out. What a client sends under these names never gets through."""

    user: HeaderName = "Remote-User"
    """The login."""

    name: HeaderName = "Remote-Name"
    """The person's name."""

    email: HeaderName = "Remote-Email"
    """The e-mail address."""

    groups: HeaderName = "Remote-Groups"
    """The roles, separated by commas."""

    @model_validator(mode="after")
    def _distinct(self) -> IdentitySettings:
        taken: dict[str, str] = {}
        for key in sorted(type(self).model_fields, key=self.model_fields_set.__contains__):
            header: str = getattr(self, key)
            if header and (other := taken.setdefault(header.lower(), key)) != key:
                raise Misfit((key,), f"{header} is the header for `{other}` already")
        return self
