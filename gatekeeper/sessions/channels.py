"""Which invalidation channel belongs to which database."""

from __future__ import annotations

import time
from collections.abc import Callable

from gatekeeper.core.clock import Clock
from gatekeeper.sessions.invalidation import INTERVAL, Invalidations, SqlInvalidations
from gatekeeper.sessions.invalidation_postgresql import PostgresInvalidations
from gatekeeper.storage.engine import Database
from gatekeeper.storage.postgresql import PostgresBackend


def make_invalidations(
    db: Database,
    *,
    on_error: Callable[[BaseException], None],
    interval: float = INTERVAL,
    monotonic: Clock = time.monotonic,
) -> Invalidations:
    """How this process hears of what others commit to `db`."""
    if isinstance(db.backend, PostgresBackend):
        return PostgresInvalidations(
            db, db.backend, on_error=on_error, interval=interval, monotonic=monotonic
        )
    return SqlInvalidations(db, on_error=on_error, interval=interval, monotonic=monotonic)
