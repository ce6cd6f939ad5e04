"""The database: connections, transactions, and the translation of their errors."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage.commits import take_waiting
from gatekeeper.storage.errors import FOREIGN, translate, unusable
from gatekeeper.storage.migrate import migrate
from gatekeeper.storage.revocations import Revocation, take_announced
from gatekeeper.storage.sqlite import BUSY_TIMEOUT, file_of

READERS = 4
WRITE_WAIT = 5.0
"""Seconds that a writer waits for the other writers of its own process."""

OnRevocations = Callable[[Sequence[Revocation]], None]


class Database:
    """One SQLite database in WAL mode, shared by the tasks of one event loop.

    Reads run beside each other on connections that cannot write; writes queue, one transaction at a time,
    because SQLite has one writer and waiting in a queue is fair where its busy handler is not.
    Everything that it raises about the database is StoreUnavailable, but for IntegrityError, which is the
    answer to the caller's own statement.
    """

    def __init__(self, url: str, *, data_dir: Path | None = None, clock: Clock = time.monotonic) -> None:
        """`url` is `sqlite:///file`; a relative file lies in `data_dir`, else in the working directory.

        `clock` measures how long ago something was.
        """
        self.url, self.path = file_of(url, data_dir)
        self.engine = self._make_engine("PRAGMA query_only=ON", size=READERS)
        """For reading."""
        self._durable = self._make_engine("PRAGMA synchronous=FULL", size=1)
        self._quick = self._make_engine("PRAGMA synchronous=NORMAL", size=1)
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[Any] | None = None
        self._subscribers: list[OnRevocations] = []
        self._clock = clock
        self._write_failed_at: float | None = None
        self._open = False
        self.backup: Path | None = None
        """The copy that `open` made before it migrated, if it did."""

    async def open(self) -> None:
        """Create or migrate the database (after a backup) and connect. Raises DatabaseUnusable."""
        self.backup = await asyncio.to_thread(migrate, self.path)
        try:
            async with self.engine.connect() as conn:
                await conn.execute(sa.text("SELECT 1"))
        except FOREIGN as error:
            raise unusable(error, self.path) from error
        self._open = True

    async def close(self) -> None:
        """Wait for the write under way, then close every connection."""
        async with self._writing:
            self._open = False
            for engine in (self.engine, self._durable, self._quick):
                await engine.dispose()

    @contextlib.asynccontextmanager
    async def begin(self, *, durable: bool = True) -> AsyncIterator[AsyncConnection]:
        """A write transaction (BEGIN IMMEDIATE): committed at the end, rolled back on any exception.

        With `durable=False` the commit does not wait for the disk: a power cut may lose the last seconds
        (never the file's integrity), which is all right for `last_seen_at` and for nothing else.
        Raises StoreUnavailable.
        """
        if self._writer is not None and self._writer is asyncio.current_task():
            raise RuntimeError("a write transaction inside a write transaction would wait for itself")
        self._check_open()
        try:
            async with asyncio.timeout(WRITE_WAIT):
                await self._writing.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("the queue of writers did not move in time") from error
        try:
            self._check_open()
            self._writer = asyncio.current_task()
            with _translated(self._note_failed_write):
                async with (self._durable if durable else self._quick).connect() as conn:
                    take_announced(conn)  # of a transaction that was rolled back
                    take_waiting(conn)
                    async with conn.begin():
                        yield conn
                    announced, waiting = take_announced(conn), take_waiting(conn)
        finally:
            self._writer = None
            self._writing.release()
        if announced:
            for subscriber in list(self._subscribers):
                subscriber(announced)
        for call in waiting:
            call()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction: everything in it sees one state. Raises StoreUnavailable."""
        self._check_open()
        with _translated():
            async with self.engine.connect() as conn:
                yield conn

    def subscribe(self, on_revocations: OnRevocations) -> Callable[[], None]:
        """Call `on_revocations` right after each commit of this process that announced something.

        Returns the function that ends the subscription.
        """
        self._subscribers.append(on_revocations)
        return lambda: self._subscribers.remove(on_revocations)

    def write_failed_within(self, seconds: float) -> bool:
        """Whether the database refused a write that lately (a full disk, a lock of another process)."""
        at = self._write_failed_at
        return at is not None and self._clock() - at < seconds

    def _note_failed_write(self) -> None:
        self._write_failed_at = self._clock()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the database is not open")

    def _make_engine(self, pragma: str, *, size: int) -> AsyncEngine:
        engine = create_async_engine(
            self.url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=BUSY_TIMEOUT,
            hide_parameters=True,  # they hold hashes and addresses, and errors are logged
            connect_args={"timeout": BUSY_TIMEOUT},
        )
        begin = "BEGIN" if "query_only" in pragma else "BEGIN IMMEDIATE"

        @event.listens_for(engine.sync_engine, "connect")
        def connected(connection: sqlite3.Connection, _record: object) -> None:
            # Otherwise the driver begins transactions by itself, late and not IMMEDIATE.
            connection.isolation_level = None
            cursor = connection.cursor()
            for statement in ("PRAGMA foreign_keys=ON", pragma):
                cursor.execute(statement)
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begun(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine


@contextlib.contextmanager
def _translated(on_outage: Callable[[], None] | None = None) -> Iterator[None]:
    try:
        yield
    except FOREIGN as error:
        ours = translate(error)
        if ours is error:
            raise
        if on_outage is not None:
            on_outage()
        raise ours from error
