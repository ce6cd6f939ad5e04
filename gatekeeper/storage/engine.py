"""The database: connections, transactions, and the translation of their errors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage.commits import take_waiting
from gatekeeper.storage.errors import FOREIGN, translate, unusable
from gatekeeper.storage.postgresql import PostgresBackend
from gatekeeper.storage.revocations import Revocation, take_announced
from gatekeeper.storage.sqlite import file_of
from gatekeeper.storage.sqlite_engines import SqliteBackend

WRITE_WAIT = 5.0
"""Seconds that a writer waits for the other writers of its own process."""

OnRevocations = Callable[[Sequence[Revocation]], None]


class Database:
    """One database, shared by the tasks of one event loop: an SQLite file, or PostgreSQL for many nodes.

    Reads run beside each other on connections that cannot write. On SQLite writes queue, one transaction at a
    time; on PostgreSQL they run beside each other, and `storage.locks` says what keeps them apart.
    Everything that it raises about the database is StoreUnavailable, but for IntegrityError, which is the
    answer to the caller's own statement.
    """

    def __init__(
        self,
        url: str,
        *,
        data_dir: Path | None = None,
        password: str = "",
        clock: Clock = time.monotonic,
    ) -> None:
        """`url` is `sqlite:///file` or `postgresql+psycopg://user@host/database`.

        A relative file lies in `data_dir`, else in the working directory. `password` is PostgreSQL's. `clock`
        measures how long ago something was. Raises DatabaseUnusable for an address that cannot work.
        """
        self.backend = make_backend(url, data_dir, password)
        engines = self.backend.make_engines()
        self.engine = engines.reading
        self._durable, self._quick = engines.durable, engines.quick
        self._turns = asyncio.Semaphore(self.backend.writers)
        self._writing: set[asyncio.Task[Any] | None] = set()
        self._subscribers: list[OnRevocations] = []
        self._clock = clock
        self._write_failed_at: float | None = None
        self._open = False
        self.backup: Path | None = None
        """The copy that `open` made before it migrated, if it did."""

    @property
    def path(self) -> Path:
        """The file of an SQLite database. Raises AttributeError for any other."""
        if isinstance(self.backend, SqliteBackend):
            return self.backend.path
        raise AttributeError("only an SQLite database has a file")

    async def open(self, *, create: bool = True) -> None:
        """Create or migrate the database (a file after a backup) and connect. Raises DatabaseUnusable.

        Without `create` a server's database without our tables is refused.
        """
        self.backup = await asyncio.to_thread(self.backend.migrate, create=create)
        await self.connect()

    async def connect(self) -> None:
        """Use the database as it is, without migrating it. Raises DatabaseUnusable."""
        try:
            async with self.engine.connect() as conn:
                await conn.execute(sa.text("SELECT 1"))
        except FOREIGN as error:
            raise unusable(error, self.backend.name) from error
        self._open = True

    async def close(self) -> None:
        """Wait for the writes under way, then close every connection."""
        for _ in range(self.backend.writers):
            await self._turns.acquire()
        try:
            self._open = False
            for engine in (self.engine, self._durable, self._quick):
                await engine.dispose()
        finally:
            for _ in range(self.backend.writers):
                self._turns.release()

    @contextlib.asynccontextmanager
    async def begin(self, *, durable: bool = True) -> AsyncIterator[AsyncConnection]:
        """A write transaction (SQLite: BEGIN IMMEDIATE): committed at the end, rolled back on any exception.

        On PostgreSQL others write at the same time: hold what you read before you change it
        (`storage.locks`), or check and change in one statement.

        With `durable=False` the commit does not wait for the disk: a power cut may lose the last seconds
        (never the file's integrity), which is all right for `last_seen_at` and for nothing else.
        Raises StoreUnavailable.
        """
        task = asyncio.current_task()
        if task in self._writing:
            raise RuntimeError("a write transaction inside a write transaction would wait for itself")
        self._check_open()
        try:
            async with asyncio.timeout(WRITE_WAIT):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("the queue of writers did not move in time") from error
        try:
            self._check_open()
            self._writing.add(task)
            with _translated(self._note_failed_write):
                async with (self._durable if durable else self._quick).connect() as conn:
                    take_announced(conn)  # of a transaction that was rolled back
                    take_waiting(conn)
                    async with conn.begin():
                        yield conn
                    announced, waiting = take_announced(conn), take_waiting(conn)
        finally:
            self._writing.discard(task)
            self._turns.release()
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


def make_backend(url: str, data_dir: Path | None, password: str) -> SqliteBackend | PostgresBackend:
    """The kind of database that `url` names. Raises DatabaseUnusable."""
    if url.startswith("postgresql"):
        return PostgresBackend(url, password)
    return SqliteBackend(*file_of(url, data_dir))


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
