"""How a process hears that something it has cached is no longer true.

SQLite: `PRAGMA data_version` says for some 3 µs that something was committed by anybody; only then are the
new rows of `revocations` read. Every flush of `last_seen_at` moves data_version, hence the sequence.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import aiosqlite

from gatekeeper.core.clock import Clock
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.storage.engine import Database
from gatekeeper.storage.revocations import Revocation

INTERVAL = 0.25
"""Seconds between two looks. The cache is used for 1 s after the last one: three may fail."""


_SEQUENCE = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'revocations'"


class InvalidationSink(Protocol):
    """Who wants to hear."""

    def heard(self, at: float) -> None:
        """Everything committed before `at` (monotonic seconds) has been told."""

    def changed(self, announced: Sequence[Revocation]) -> None: ...

    def lost(self) -> None:
        """Something may have been missed: nothing cached before may be used."""


class Invalidations(Protocol):
    """The channel, one implementation for each kind of store."""

    async def open(self, sink: InvalidationSink) -> None: ...

    async def close(self) -> None: ...


class SqlInvalidations:
    """The channel of an SQLite database that several processes share."""

    def __init__(
        self,
        db: Database,
        *,
        on_error: Callable[[BaseException], None],
        interval: float = INTERVAL,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._db = db
        self._on_error = on_error
        self._interval = interval
        self._monotonic = monotonic
        self._tasks = TaskKeeper(on_error)
        self._unsubscribe: Callable[[], None] | None = None

    async def open(self, sink: InvalidationSink) -> None:
        """Begin to listen; returns after the first look, so that the cache can be used at once."""
        first = asyncio.Event()
        self._unsubscribe = self._db.subscribe(sink.changed)
        self._tasks.start(self._run(sink, first), name="invalidations")
        await first.wait()

    async def close(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        await self._tasks.close()

    async def _run(self, sink: InvalidationSink, first: asyncio.Event) -> None:
        while True:
            try:
                async with aiosqlite.connect(self._db.path, isolation_level=None) as conn:
                    await self._listen(conn, sink, first)
            except (sqlite3.Error, OSError) as error:
                self._on_error(error)
            finally:
                first.set()
            await asyncio.sleep(self._interval)

    async def _listen(self, conn: aiosqlite.Connection, sink: InvalidationSink, first: asyncio.Event) -> None:
        at = self._monotonic()
        version = await _one(conn, "PRAGMA data_version")
        # The sequence itself, not the highest row: rows are purged, and their numbers never given again.
        last = await _one(conn, _SEQUENCE)
        sink.lost()
        sink.heard(at)
        first.set()
        while True:
            await asyncio.sleep(self._interval)
            at = self._monotonic()
            newer = await _one(conn, "PRAGMA data_version")
            if newer != version:
                rows = list(
                    await conn.execute_fetchall(
                        "SELECT seq, session_key, user_id FROM revocations WHERE seq > ? ORDER BY seq",
                        (last,),
                    )
                )
                if rows:
                    last = rows[-1][0]
                    sink.changed([Revocation(row[1], row[2]) for row in rows])
                version = newer
            sink.heard(at)


async def _one(conn: aiosqlite.Connection, query: str) -> int:
    rows = list(await conn.execute_fetchall(query))
    return int(rows[0][0])
