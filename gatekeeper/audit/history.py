"""What a person may see of the audit log: the sign-ins to the own account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.audit.events import EventKind
from gatekeeper.storage.tables import audit_events

if TYPE_CHECKING:
    from gatekeeper.storage.engine import Database

SHOWN = (EventKind.SIGN_IN_SUCCEEDED, EventKind.SIGN_IN_FAILED, EventKind.SIGNED_OUT)


class HistoryEvent(NamedTuple):
    """One line of the history."""

    at: float
    """Seconds since the epoch."""
    kind: str
    client: str


class SignInHistory:
    """Reads the audit log for account pages."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, user_id: int, limit: int) -> Sequence[HistoryEvent]:
        """The latest `limit` events of this account, the newest first. Raises `StoreUnavailable`."""
        columns = (audit_events.c.at, audit_events.c.kind, audit_events.c.client)
        query = (
            sa.select(*columns)
            .where(audit_events.c.user_id == user_id, audit_events.c.kind.in_([kind.value for kind in SHOWN]))
            .order_by(audit_events.c.id.desc())
            .limit(limit)
        )
        async with self._db.read() as conn:
            return [HistoryEvent(*row) for row in await conn.execute(query)]
