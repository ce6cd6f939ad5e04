"""PostgreSQL behind `storage.engine.Database`: its address, connections, time limits and start.

Every wait has an end: connecting, a statement, a lock, a connection of the pool. A server that is frozen or
cut off costs a request seconds, and a node that is leaves no lock behind for longer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow
from psycopg.waiting import wait_async
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gatekeeper.storage.backend import Engines
from gatekeeper.storage.errors import FOREIGN, DatabaseUnusable, unusable
from gatekeeper.storage.migrate import alembic_config, upgrade

RV = TypeVar("RV")

DRIVER = "postgresql+psycopg"
CONNECTIONS = 4
"""For reading, and as many for writing. With one for `last_seen_at` and one that listens it makes ten."""
CONNECT_TIMEOUT = 2
"""Whole seconds for one server of the address."""
ANSWER_TIMEOUT = 3.0
"""Seconds for one statement, the wait for locks included."""
LOCK_TIMEOUT = 2.5
POOL_TIMEOUT = 5.0
START_TIMEOUT = 60.0
"""Seconds that a starting process waits for another one that is migrating."""
_STARTING = 4_704_250_001
"""The advisory lock of the migrations, of this database alone."""


class BoundedConnection(psycopg.AsyncConnection[TupleRow]):
    """Gives up when the server does not answer.

    psycopg by itself waits for ever, and asks a server that does not answer to cancel for ten seconds more.
    """

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return await wait_async(
                gen,
                self.pgconn.socket,
                interval=interval,
                timeout=ANSWER_TIMEOUT if timeout is None else timeout,
            )
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None
        except (asyncio.CancelledError, KeyboardInterrupt):
            # Nobody knows how far the statement came: the server rolls back what is not committed.
            self.pgconn.finish()
            raise


class PostgresBackend:
    """`storage.backend.Backend`: a server, or several of which one can be written."""

    writers = CONNECTIONS

    def __init__(self, url: str, password: str = "") -> None:
        self._url = parse(url)
        self.name = self._url.render_as_string()
        if password:
            self._url = self._url.set(password=password)

    def make_engines(self) -> Engines:
        reading = "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
        writing = "-c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off"
        return Engines(
            self._make_engine(reading, size=CONNECTIONS),
            self._make_engine(f"{writing} -c synchronous_commit=on", size=CONNECTIONS),
            self._make_engine(f"{writing} -c synchronous_commit=off", size=1),
        )

    def migrate(self, *, create: bool) -> Path | None:
        """Processes that start together wait for each other, and one migrates, in one transaction."""
        waiting = f"-c lock_timeout={int(START_TIMEOUT * 1000)}"
        engine = sa.create_engine(
            self._url,
            poolclass=sa.NullPool,
            hide_parameters=True,
            connect_args={**_KEEPALIVE, "connect_timeout": CONNECT_TIMEOUT, "options": waiting},
        )
        try:
            with engine.begin() as connection:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_STARTING)))
                if not create and not sa.inspect(connection).has_table("alembic_version"):
                    raise DatabaseUnusable(
                        f"no accounts in {self.name}; is database right?", reason="database_empty"
                    )
                upgrade(connection, alembic_config(), self.name)
        except FOREIGN as error:
            raise unusable(error, self.name) from error
        finally:
            engine.dispose()
        return None

    async def listen(self) -> psycopg.AsyncConnection[TupleRow]:
        """A connection of its own, outside the pools, without transactions."""
        dialect: Any = self._url.get_dialect()()
        args: dict[str, Any] = {**dialect.create_connect_args(self._url)[1], **_KEEPALIVE}
        return await BoundedConnection.connect(**args, connect_timeout=CONNECT_TIMEOUT, autocommit=True)

    def _make_engine(self, options: str, *, size: int) -> AsyncEngine:
        limits = (
            f"-c statement_timeout={int(ANSWER_TIMEOUT * 1000)} -c lock_timeout={int(LOCK_TIMEOUT * 1000)}"
            " -c idle_in_transaction_session_timeout=10s"
        )
        return create_async_engine(
            self._url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            # A restart of the server, or a change of it, is noticed before a request is spent on it.
            pool_pre_ping=True,
            hide_parameters=True,  # they hold hashes and addresses, and errors are logged
            connect_args={
                **_KEEPALIVE,
                "connect_timeout": CONNECT_TIMEOUT,
                "options": f"{options} {limits}",
                "async_creator_fn": BoundedConnection.connect,
            },
        )


_KEEPALIVE: dict[str, Any] = {
    "application_name": "gatekeeper",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 4_000,
}


def parse(url: str) -> URL:
    """The address, checked. Raises DatabaseUnusable, never with a password in it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername != DRIVER:
        raise DatabaseUnusable(
            "database: not an address such as postgresql+psycopg://gatekeeper@db.example.com/gatekeeper",
            reason="database_url",
        )
    complaint = _complaint(parsed)
    if complaint:
        raise DatabaseUnusable(f"database: {complaint}", reason="database_url")
    return parsed


def _complaint(url: URL) -> str:
    if url.password is not None:
        return "has a password in it: put it into database_password_file"
    if not url.username or not url.database:
        return "must name a user and a database, as in postgresql+psycopg://user@host/database"
    if not url.host and "host" not in url.query:
        return "must name a host, as in postgresql+psycopg://user@host/database"
    return ""
