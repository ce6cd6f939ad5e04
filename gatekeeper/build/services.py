"""The services of one running process."""

from __future__ import annotations

import structlog

from gatekeeper.accounts import kept_forms
from gatekeeper.accounts.admin_link import AdministratorLink
from gatekeeper.accounts.devices import Devices
from gatekeeper.accounts.hashing import PasswordHasher
from gatekeeper.accounts.kept_forms import KeptForms
from gatekeeper.accounts.lockout import Lockout, LockoutPolicy
from gatekeeper.accounts.rates import Rates
from gatekeeper.accounts.sign_in import SignIn
from gatekeeper.accounts.steps import make_next_step
from gatekeeper.accounts.unlock import Unlock
from gatekeeper.accounts.users import Users
from gatekeeper.assertions.keys import SigningKeys
from gatekeeper.assertions.maker import AssertionMaker
from gatekeeper.audit.log import AuditLog
from gatekeeper.build.assertions import make_assertions, make_signing_keys
from gatekeeper.build.database import make_database
from gatekeeper.build.mail import make_links, make_outbox
from gatekeeper.build.passwords import PasswordServices, make_step_policy
from gatekeeper.build.report import task_failed
from gatekeeper.build.second_factor import make_second_factors
from gatekeeper.build.sessions import make_session_store
from gatekeeper.build.values import (
    make_identity_names,
    make_rate_limits,
    make_secrets,
    make_timeouts,
)
from gatekeeper.core.clock import Clock
from gatekeeper.core.identity import header_maker
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.sessions.channels import make_invalidations
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database
from gatekeeper.telemetry.metrics import CountingEmit, Metrics


class Services:
    """The objects of one running process, made inside its event loop."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics | None = None) -> None:
        self.db = make_database(settings)
        emit = structlog.get_logger("gatekeeper.audit")
        self.audit = AuditLog(self.db, clock, emit if metrics is None else CountingEmit(emit, metrics))
        self.outbox = make_outbox(settings, self.db, clock)
        self.links = make_links(settings)
        self.hasher = PasswordHasher()
        secrets = make_secrets(settings)
        self.devices = Devices(clock)
        self.rates = Rates(self.audit, clock, secret=secrets[0], limits=make_rate_limits(settings))
        self.lockout = Lockout(
            LockoutPolicy(settings.lockout.attempts, settings.lockout.unlock_seconds),
            clock,
            devices=self.devices,
            audit=self.audit,
            outbox=self.outbox,
            links=self.links,
        )
        self.unlock = Unlock(self.db, self.lockout, clock)
        self.sign_in = SignIn(
            self.db,
            self.hasher,
            self.audit,
            clock,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            outbox=self.outbox,
        )
        passwords = PasswordServices(
            settings,
            db=self.db,
            hasher=self.hasher,
            audit=self.audit,
            outbox=self.outbox,
            links=self.links,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            clock=clock,
        )
        self.users = passwords.users
        self.password_changes = passwords.changes
        self.recovery = passwords.recovery
        self.invitations = passwords.invitations
        self.expiry = passwords.expiry
        self.second_factors = make_second_factors(
            settings,
            db=self.db,
            audit=self.audit,
            outbox=self.outbox,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            clock=clock,
        )
        self.admin_link = AdministratorLink(self.db, self.users, self.audit, clock)
        self.session_store = make_session_store(settings, self.db)
        self.sessions = make_sessions(settings, self.db, self.session_store, self.users, clock)
        self.kept_forms = make_kept_forms(settings, self.db, self.audit, self.sessions, clock)
        self.signing_keys: SigningKeys | None = None
        """None when applications get no assertions."""
        self.assertions: AssertionMaker | None = None
        if settings.identity.assertion.header:
            self.signing_keys = make_signing_keys(settings, self.db, self.audit, clock)
            self.assertions = make_assertions(settings, self.signing_keys)


def make_kept_forms(
    settings: Settings, db: Database, audit: AuditLog, sessions: SessionManager, clock: Clock
) -> KeptForms | None:
    """What keeps forms that were posted into an ended session; None when nothing shall."""
    if not settings.session.keep_forms:
        return None
    return KeptForms(
        db,
        SecretBox(make_secrets(settings), kept_forms.PURPOSE),
        audit,
        clock,
        ended=sessions.ended,
        on_error=task_failed,
        most=settings.session.keep_forms_max,
    )


def make_sessions(
    settings: Settings, db: Database, store: SessionStore, users: Users, clock: Clock
) -> SessionManager:
    """The sessions, to be opened before the first request."""
    return SessionManager(
        store,
        users,
        secrets=make_secrets(settings),
        timeouts=make_timeouts(settings),
        next_step=make_next_step(make_step_policy(settings)),
        headers_for=header_maker(make_identity_names(settings)),
        clock=clock,
        invalidations=make_invalidations(db, on_error=task_failed),
        on_error=task_failed,
    )
