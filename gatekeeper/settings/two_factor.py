"""`two_factor`: who proves a second factor, and how often."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from gatekeeper.settings.base import Misfit, OneOrMany, Section
from gatekeeper.settings.units import parse_duration

NEVER = "never"
_LONGEST = "365d"


def _check_trust(text: str) -> str:
    if text == NEVER:
        return text
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"must be {NEVER}, or such as 30d: {error}") from error
    if not 60.0 <= seconds <= parse_duration(_LONGEST):
        raise ValueError(f"must be {NEVER}, or between 1m and {_LONGEST}")
    return text


def _check_issuer(text: str) -> str:
    if ":" in text or not text.isprintable():
        raise ValueError("must not hold a colon: authenticator apps would cut the name there")
    return text


TrustDevice = Annotated[
    str,
    AfterValidator(_check_trust),
    WithJsonSchema({"type": "string", "pattern": r"^(never|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$"}),
]
RoleName = Annotated[str, Field(min_length=1)]


class TwoFactorSettings(Section):
    """Codes from an authenticator app. ASVS 5.0 V6.3.3."""

    mode: Literal["off", "optional", "mandatory"] = "optional"
    """`off`: nobody is asked. `optional`: whoever set one up, and those of whom it is required.
    `mandatory`: everybody."""

    roles: Annotated[tuple[RoleName, ...], OneOrMany] = ()
    """With `optional`: mandatory for whoever has one of these roles."""

    trust_device: TrustDevice = NEVER
    """How long a browser may go without a code after one, if the person ticks the box; or `never`."""

    issuer: Annotated[str, Field(max_length=60), AfterValidator(_check_issuer)] = ""
    """The name that authenticator apps show; `""` is `branding.product_name`."""

    @property
    def trust_seconds(self) -> float | None:
        """`trust_device` in seconds, None for never."""
        return None if self.trust_device == NEVER else parse_duration(self.trust_device)

    @model_validator(mode="after")
    def _roles_matter(self) -> TwoFactorSettings:
        if self.roles and self.mode != "optional":
            nobody = "nobody is asked for a code"
            everybody = "it is mandatory for everybody"
            raise Misfit(
                ("roles",),
                f"has no effect with mode: {self.mode}, where {nobody if self.mode == 'off' else everybody};"
                " write mode: optional",
            )
        return self
