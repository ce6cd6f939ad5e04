"""`password`: rules for new passwords, and when a password must change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, WithJsonSchema, model_validator

from gatekeeper.settings.base import Misfit, Section
from gatekeeper.settings.units import parse_duration

_NEVER = "never"
_LEAST, _MOST = "1m", "3650d"


def _check(text: str) -> str:
    if text != _NEVER and not parse_duration(_LEAST) <= parse_duration(text) <= parse_duration(_MOST):
        raise ValueError(f"must be {_NEVER}, or between {_LEAST} and {_MOST}")
    return text


def _seconds(text: str) -> float | None:
    return None if text == _NEVER else parse_duration(text)


DurationOrNever = Annotated[
    str,
    AfterValidator(_check),
    WithJsonSchema({"type": "string", "pattern": r"^(never|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]


class PasswordSettings(Section):
    """Rules for passwords. NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2."""

    sign_in: StrictBool = True
    """Whether anybody signs in with a password. `false`: at identity providers alone."""

    min_length: Annotated[StrictInt, Field(ge=8, le=64)] = 12
    """The fewest characters."""

    profile: Literal["nist"] | None = None
    """`nist`: at least 15 characters where the password is the only factor."""

    history: Annotated[StrictInt, Field(ge=1, le=24)] = 5
    """How many of the latest passwords may not be chosen again, the present one among them."""

    max_age: DurationOrNever = "90d"
    """A new password is demanded at sign-in this long after the last change; or `never`."""

    max_unused: DurationOrNever = "30d"
    """A new password is demanded at the first sign-in after this long without one; or `never`."""

    remind_before: DurationOrNever = "14d"
    """A mail reminds people this long before `max_age` is reached; or `never`."""

    first_logon: Literal["require", "encourage"] = "require"
    """Whether a first password must be changed at first sign-in, or the page that asks can be skipped."""

    invitation: Literal["link", "password"] = "link"
    """What an invitation has in it: a link to choose a password, or a generated one and a link to sign in."""

    @property
    def max_age_seconds(self) -> float | None:
        """`max_age` in seconds, None for never."""
        return _seconds(self.max_age)

    @property
    def max_unused_seconds(self) -> float | None:
        """`max_unused` in seconds, None for never."""
        return _seconds(self.max_unused)

    @property
    def remind_before_seconds(self) -> float | None:
        """`remind_before` in seconds, None for never."""
        return _seconds(self.remind_before)

    @model_validator(mode="after")
    def _remind_within_age(self) -> PasswordSettings:
        age, before = self.max_age_seconds, self.remind_before_seconds
        if age is not None and before is not None and before >= age:
            key = "remind_before" if "remind_before" in self.model_fields_set else "max_age"
            message = f"remind_before ({self.remind_before}) must be shorter than max_age ({self.max_age})"
            raise Misfit((key,), message)
        return self
