"""`lockout` and `rate_limits`: what guessing costs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, WithJsonSchema

from gatekeeper.settings.base import Section
from gatekeeper.settings.units import parse_duration

NEVER = "never"
UNLIMITED = "unlimited"
_RATE = re.compile(r"([0-9]{1,7})/([0-9.]{1,12}(?:ms|s|m|h|d))\Z")
_LONGEST = "365d"
_NO_RATE = f"must be a number, a slash and a duration, such as 50/5m, or {UNLIMITED}"
_NO_UNLOCK_AFTER = f"must be a duration such as 30m, or {NEVER}"


def parse_rate(text: str) -> tuple[int, float] | None:
    """Attempts and seconds of a rate such as `50/5m`; None for `unlimited`. Raises ValueError."""
    if text == UNLIMITED:
        return None
    found = _RATE.match(text)
    if found is None:
        raise ValueError(_NO_RATE)
    attempts, period = int(found[1]), parse_duration(found[2])
    if attempts < 1 or not 1.0 <= period <= parse_duration(_LONGEST):
        raise ValueError(f"must be at least one in a duration between 1s and {_LONGEST}; or {UNLIMITED}")
    return attempts, period


def _check_rate(text: str) -> str:
    parse_rate(text)
    return text


def _rate_is_text(value: Any) -> Any:
    if not isinstance(value, str):  # 50: "put it in quotes" would lead to the next error
        raise ValueError(_NO_RATE)
    return value


def _unlock_after_is_text(value: Any) -> Any:
    if not isinstance(value, str):
        whole = isinstance(value, int) and not isinstance(value, bool)
        raise ValueError(_NO_UNLOCK_AFTER + (f"; did you mean {value}m?" if whole and value > 0 else ""))
    return value


def _check_unlock_after(text: str) -> str:
    if text == NEVER:
        return text
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise ValueError(
            _NO_UNLOCK_AFTER + (f"; did you mean {text}m?" if text.isdecimal() else "")
        ) from None
    if not 1.0 <= seconds <= parse_duration(_LONGEST):
        raise ValueError(f"must be {NEVER}, or between 1s and {_LONGEST}")
    return text


RateText = Annotated[
    str,
    BeforeValidator(_rate_is_text, json_schema_input_type=str),
    AfterValidator(_check_rate),
    WithJsonSchema({"type": "string", "pattern": r"^(unlimited|[0-9]{1,7}/[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]
UnlockAfter = Annotated[
    str,
    BeforeValidator(_unlock_after_is_text, json_schema_input_type=str),
    AfterValidator(_check_unlock_after),
    WithJsonSchema({"type": "string", "pattern": r"^(never|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]


class LockoutSettings(Section):
    """When wrong passwords and codes lock an account. ASVS 5.0 V6.3.1."""

    attempts: Annotated[StrictInt, Field(ge=1, le=100)] = 5
    """So many wrong passwords or codes lock the account; a complete sign-in sets the count back."""

    unlock_after: UnlockAfter = NEVER
    """`never`: until the mailed link, a password reset or an administrator unlocks it; or a duration."""

    @property
    def unlock_seconds(self) -> float | None:
        """`unlock_after` in seconds, None for never."""
        return None if self.unlock_after == NEVER else parse_duration(self.unlock_after)


class PasswordRates(Section):
    """Passwords tried at sign-in."""

    client: RateText = "50/5m"
    """From one IPv4 address or one IPv6 /64."""

    account: RateText = "20/5m"
    """For one login, whether it exists or not."""

    total: RateText = "600/1m"
    """In all."""


class CodeRates(Section):
    """Second-factor codes tried."""

    client: RateText = "50/5m"
    """From one IPv4 address or one IPv6 /64."""

    account: RateText = "10/5m"
    """For one account."""

    total: RateText = "600/1m"
    """In all."""


class MailRates(Section):
    """Mails that somebody asks for who is not signed in."""

    client: RateText = "20/10m"
    """From one IPv4 address or one IPv6 /64."""

    account: RateText = "5/1h"
    """For one login, whether it exists or not."""

    total: RateText = "300/10m"
    """In all."""


class ProviderRates(Section):
    """Ways back from an identity provider."""

    client: RateText = "50/5m"
    """From one IPv4 address or one IPv6 /64."""

    total: RateText = "600/1m"
    """In all."""


class RateLimitsSettings(Section):
    """How often something may be tried; more is answered 429."""

    passwords: PasswordRates = PasswordRates()
    """Passwords tried at sign-in."""

    codes: CodeRates = CodeRates()
    """Second-factor codes tried."""

    mails: MailRates = MailRates()
    """Mails that somebody asks for who is not signed in."""

    providers: ProviderRates = ProviderRates()
    """Ways back from an identity provider, each of which is asked for there."""
