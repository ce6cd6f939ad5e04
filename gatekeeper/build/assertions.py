"""The composition root's part about assertions: settings → signing keys and what signs with them."""

from __future__ import annotations

from gatekeeper.assertions.keys import SigningKeys
from gatekeeper.assertions.maker import AssertionMaker
from gatekeeper.audit.log import AuditLog
from gatekeeper.build.values import make_secrets, make_timeouts
from gatekeeper.core.clock import Clock
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


def make_signing_keys(settings: Settings, db: Database, audit: AuditLog, clock: Clock) -> SigningKeys:
    """The keys, to be refreshed before the first request."""
    rotate = settings.identity.assertion.rotate_seconds
    return SigningKeys(db, audit, clock, secrets=make_secrets(settings), rotate=rotate)


def make_assertions(settings: Settings, keys: SigningKeys) -> AssertionMaker:
    """What signs for the application."""
    assertion = settings.identity.assertion
    maker = AssertionMaker(
        keys.current,
        header=assertion.header,
        issuer=settings.public_url,
        lifetime=assertion.lifetime,
        timeouts=make_timeouts(settings),
    )
    keys.subscribe(maker.forget)
    return maker
