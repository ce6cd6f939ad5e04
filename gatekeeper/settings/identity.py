"""`identity`: the headers in which the application learns who is asking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema, model_validator

from gatekeeper.settings.base import Misfit, Section
from gatekeeper.settings.names import check_header
from gatekeeper.settings.units import duration, parse_duration

_NEVER = "never"


def _header_or_none(text: str) -> str:
    return check_header(text) if text else text


def _check_rotate(text: str) -> str:
    if text != _NEVER and not parse_duration("2d") <= parse_duration(text) <= parse_duration("365d"):
        raise ValueError(
            f"must be {_NEVER}, or between 2d and 365d (a key is published a day before it signs)"
        )
    return text


def check_audience(text: str) -> str:
    """The name of an assertion's reader; `ValueError` says what is wrong."""
    if len(text) > 200 or not text.isprintable() or text != text.strip():
        raise ValueError(
            "must be a name of at most 200 characters, such as orders or https://orders.example.com"
        )
    return text


HeaderName = Annotated[str, AfterValidator(_header_or_none)]
Rotate = Annotated[
    str,
    AfterValidator(_check_rotate),
    WithJsonSchema({"type": "string", "pattern": r"^(never|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]


class AssertionSettings(Section):
    """A signed statement of who is asking (JWT, ES256), for the application to verify: docs/assertion.md."""

    header: HeaderName = "X-Gatekeeper-Assertion"
    """The header that holds it; `""` switches it off."""

    lifetime: Annotated[float, duration("10s", "60s")] = 60.0
    """How long one can be verified; never longer than the session lasts."""

    audience: Annotated[str, AfterValidator(check_audience)] = ""
    """Whom it is for (`aud`), as the application verifies it. Left out: the origin of `public_url`."""

    rotate: Rotate = "30d"
    """How long a key signs before the next one does; or `never`."""

    @property
    def rotate_seconds(self) -> float | None:
        """`rotate` in seconds, None for never."""
        return None if self.rotate == _NEVER else parse_duration(self.rotate)


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

    encoding: Literal["utf-8", "rfc8187"] = "utf-8"
    """How names beyond ASCII are written: as UTF-8 bytes, or as in RFC 8187 (`UTF-8''J%C3%BCrgen`)."""

    assertion: AssertionSettings = AssertionSettings()
    """A signed statement of the same."""

    @property
    def headers(self) -> dict[str, str]:
        """The configured header names, by what they hold; without those that are left out."""
        named = {key: getattr(self, key) for key in ("user", "name", "email", "groups")}
        return {key: name for key, name in (named | {"assertion": self.assertion.header}).items() if name}

    @model_validator(mode="after")
    def _distinct(self) -> IdentitySettings:
        chosen = self.model_fields_set | ({"assertion"} if self.assertion.model_fields_set else set())
        taken: dict[str, str] = {}
        for key in sorted(self.headers, key=chosen.__contains__):
            header = self.headers[key]
            if (other := taken.setdefault(header.lower(), key)) != key:
                loc = ("assertion", "header") if key == "assertion" else (key,)
                raise Misfit(loc, f"{header} is the header for `{other}` already")
        return self
