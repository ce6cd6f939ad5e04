"""SQLite in WAL mode behind `storage.engine.Database`: connections and transactions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gatekeeper.storage.backend import Engines
from gatekeeper.storage.migrate import migrate
from gatekeeper.storage.sqlite import BUSY_TIMEOUT

READERS = 4


class SqliteBackend:
    """`storage.backend.Backend`: a file. It has one writer; waiting in a queue is fair where its busy handler
    is not, hence one writer of this process as well.
    """

    writers = 1

    def __init__(self, url: URL, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self._url = url

    def make_engines(self) -> Engines:
        return Engines(
            self._make_engine("PRAGMA query_only=ON", size=READERS),
            self._make_engine("PRAGMA synchronous=FULL", size=1),
            self._make_engine("PRAGMA synchronous=NORMAL", size=1),
        )

    def migrate(self, *, create: bool) -> Path | None:
        return migrate(self.path)

    def _make_engine(self, pragma: str, *, size: int) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
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
