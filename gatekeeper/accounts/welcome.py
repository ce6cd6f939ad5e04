"""Who has been welcomed: the slides are shown once to each person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.core.clock import Clock
from gatekeeper.storage.revocations import user_changed
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from gatekeeper.storage.engine import Database


class Welcomes:
    """Remembers who has seen the welcome, or skipped it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def seen(self, user_id: int) -> None:
        """Never show it to this person again. Raises `StoreUnavailable`."""
        now = self._clock()
        async with self._db.begin() as conn:
            done = await conn.execute(
                sa.update(users)
                .where(users.c.id == user_id, users.c.welcomed_at.is_(None))
                .values(welcomed_at=now)
            )
            if done.rowcount:
                await user_changed(conn, user_id, now)  # sessions everywhere read the step anew
