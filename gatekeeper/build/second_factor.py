"""Composing second factors: settings → objects, for the server and for the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.accounts.second_factor import SecondFactorPolicy, SecondFactors
from gatekeeper.accounts.second_factor_reset import SecondFactorReset
from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.factors import totp
from gatekeeper.settings import Settings

if TYPE_CHECKING:
    from gatekeeper.accounts.devices import Devices
    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database


def make_second_factor_policy(settings: Settings) -> SecondFactorPolicy:
    """What the operator wants of authenticator apps and trusted browsers."""
    wanted = settings.two_factor
    issuer = wanted.issuer or settings.branding.product_name
    return SecondFactorPolicy(issuer, wanted.trust_seconds)


def make_second_factors(
    settings: Settings,
    *,
    db: Database,
    audit: AuditLog,
    outbox: Outbox,
    lockout: Lockout,
    rates: Rates,
    devices: Devices,
    clock: Clock,
) -> SecondFactors:
    secrets = [secret.get_secret_value() for secret in settings.secrets]
    return SecondFactors(
        db,
        SecretBox(secrets, totp.PURPOSE),
        make_second_factor_policy(settings),
        reset=SecondFactorReset(db, outbox, audit, clock),
        lockout=lockout,
        rates=rates,
        devices=devices,
        clock=clock,
    )
