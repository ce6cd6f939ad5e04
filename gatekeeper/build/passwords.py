"""Composing what surrounds a password: settings → objects, for the server and for the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.accounts.expiry import Expiry, ExpiryPolicy
from gatekeeper.accounts.invitations import Invitations
from gatekeeper.accounts.new_password import NewPasswords
from gatekeeper.accounts.notices import Notices
from gatekeeper.accounts.password_change import PasswordChanges
from gatekeeper.accounts.passwords import PasswordPolicy
from gatekeeper.accounts.recovery import Recovery
from gatekeeper.accounts.users import Users
from gatekeeper.core.clock import Clock
from gatekeeper.core.steps import StepPolicy
from gatekeeper.settings import Settings

if TYPE_CHECKING:
    from gatekeeper.accounts.devices import Devices
    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database


def make_step_policy(settings: Settings) -> StepPolicy:
    """What the operator wants of a sign-in beyond the password."""
    password = settings.password
    return StepPolicy(
        two_factor=settings.two_factor.mode,
        two_factor_roles=frozenset(settings.two_factor.roles),
        password_max_age=password.max_age_seconds,
        password_unused=password.max_unused_seconds,
        first_logon=password.first_logon,
        welcome=bool(settings.welcome),
    )


def make_password_policy(settings: Settings) -> PasswordPolicy:
    """What the operator wants of a new password."""
    password = settings.password
    return PasswordPolicy(
        min_length=password.min_length,
        nist=password.profile == "nist",
        history=password.history,
        steps=make_step_policy(settings),
    )


def make_expiry_policy(settings: Settings) -> ExpiryPolicy:
    """When a password must change, and when its owner is reminded."""
    password = settings.password
    if not password.sign_in:
        return ExpiryPolicy()
    return ExpiryPolicy(password.max_age_seconds, password.max_unused_seconds, password.remind_before_seconds)


class PasswordServices:
    """The ways to a new password."""

    def __init__(
        self,
        settings: Settings,
        *,
        db: Database,
        hasher: PasswordHasher,
        audit: AuditLog,
        outbox: Outbox,
        links: Links,
        lockout: Lockout,
        rates: Rates,
        devices: Devices,
        clock: Clock,
    ) -> None:
        policy = make_password_policy(settings)
        new = NewPasswords(db, hasher, policy)
        notices = Notices(outbox, links, audit)
        self.users = Users(db, hasher, audit, clock, policy=policy)
        self.changes = PasswordChanges(
            db, hasher, new, lockout, rates, devices, outbox, links, notices, clock
        )
        self.recovery = Recovery(db, new, lockout, rates, outbox, links, audit, notices, clock)
        self.invitations = Invitations(
            db, new, rates, outbox, links, notices, clock, passwords=settings.password.sign_in
        )
        self.expiry = Expiry(db, make_expiry_policy(settings), outbox, links, notices, clock)
