"""The database server: reachable, ours, and does it keep what it was told? Never migrates."""

from __future__ import annotations

import sqlalchemy as sa

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.storage.engine import Database

_FEWEST = 20
"""Connections that should be free: two processes' worth."""


class ServerCheck:
    """`db` is not open; this opens and closes it."""

    name = "database"

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> list[Finding]:
        name = self._db.backend.name
        try:
            await self._db.connect()
            try:
                return [ok(f"{name} answers"), *await self._look()]
            finally:
                await self._db.close()
        except StoreUnavailable as error:
            return [fail(str(error), "mend what the message names; docs/scaling.md says what is needed")]

    async def _look(self) -> list[Finding]:
        found = []
        async with self._db.read() as conn:
            if not await conn.scalar(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL")):
                found.append(warn("it has no tables yet", "the first start of `gatekeeper serve` makes them"))
            if await conn.scalar(sa.text("SHOW fsync")) != "on":
                found.append(fail("fsync is off: a power cut brings ended sessions back", "set fsync = on"))
            free = await conn.scalar(
                sa.text(
                    "SELECT current_setting('max_connections')::int - (SELECT count(*) FROM pg_stat_activity)"
                )
            )
            if free < _FEWEST:
                found.append(
                    warn(f"{free} connections are free", "raise max_connections: each process needs ten")
                )
        return found
