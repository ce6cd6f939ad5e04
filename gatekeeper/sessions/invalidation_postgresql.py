"""The invalidation channel of a PostgreSQL database that many nodes share: LISTEN and NOTIFY.

A notification is sent with the commit of the change that it is about, and delivered before the server answers
the next statement of the connection that listens. So every answer says that all from before it was heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg
from psycopg.rows import TupleRow

from gatekeeper.core.clock import Clock
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.sessions.invalidation import INTERVAL, InvalidationSink
from gatekeeper.storage.engine import Database
from gatekeeper.storage.postgresql import PostgresBackend
from gatekeeper.storage.revocations import CHANNEL, Revocation

ANSWER = 2.0
"""Seconds for the server's sign of life; the cache is not used any more by then."""


class PostgresInvalidations:
    """`sessions.invalidation.Invalidations` on a connection of its own."""

    def __init__(
        self,
        db: Database,
        backend: PostgresBackend,
        *,
        on_error: Callable[[BaseException], None],
        interval: float = INTERVAL,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._db = db
        self._backend = backend
        self._on_error = on_error
        self._interval = interval
        self._monotonic = monotonic
        self._tasks = TaskKeeper(on_error)
        self._unsubscribe: Callable[[], None] | None = None
        self._failing = False

    async def open(self, sink: InvalidationSink) -> None:
        """Begin to listen; returns after the first sign of life, so that the cache can be used at once."""
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
                async with await self._backend.listen() as conn:
                    await self._listen(conn, sink, first)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if not self._failing:
                    self._on_error(error)
                self._failing = True
            finally:
                first.set()
            await asyncio.sleep(self._interval)

    async def _listen(
        self, conn: psycopg.AsyncConnection[TupleRow], sink: InvalidationSink, first: asyncio.Event
    ) -> None:
        at = self._monotonic()
        await self._ask(conn, f"LISTEN {CHANNEL}")
        sink.lost()
        sink.heard(at)
        self._failing = False
        first.set()
        while True:
            async for notice in conn.notifies(timeout=self._interval):
                sink.changed([Revocation.from_text(notice.payload)])
            at = self._monotonic()
            await self._ask(conn, "SELECT 1")
            # What came with the answer waits in the connection: it is told before all from before `at` is.
            async for notice in conn.notifies(timeout=0):
                sink.changed([Revocation.from_text(notice.payload)])
            sink.heard(at)

    async def _ask(self, conn: psycopg.AsyncConnection[TupleRow], statement: str) -> None:
        async with asyncio.timeout(ANSWER):
            await conn.execute(statement.encode("ascii"))
