"""The embedded database: there, of this version, undamaged, and does it take a write?

Looks at the file with a connection of its own and never migrates: that is for `serve` to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.core.clock import Clock
from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.storage.errors import unusable

SLOW = 0.25
"""Seconds for one write to reach the disk: beyond it every sign-in is felt."""
_WAIT = 5.0
_RESTORE = "stop Gatekeeper and restore a backup: gatekeeper restore FILE"


class SqliteCheck:
    """`head` is the schema of this version; `clock` the time of day, `monotonic` seconds for measuring."""

    name = "database"

    def __init__(self, path: Path, *, head: str, clock: Clock, monotonic: Clock = time.monotonic) -> None:
        self._path = path
        self._head = head
        self._clock = clock
        self._monotonic = monotonic

    async def run(self) -> list[Finding]:
        return await asyncio.to_thread(lambda: list(self._look()))

    def _look(self) -> Iterator[Finding]:
        if not self._path.exists():
            yield warn(
                f"{self._path} is not there yet", "it is made at the first start of `gatekeeper serve`"
            )
            return
        try:
            # mode=rw: sqlite would make a file where none is.
            with contextlib.closing(
                sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT)
            ) as connection:
                connection.isolation_level = None
                for part in (self._schema, self._integrity, self._write, self._future):
                    found = list(part(connection))
                    yield from found
                    if part == self._schema and found[0].level != "ok":
                        return
        except sqlite3.Error as error:
            yield fail(str(unusable(error, self._path)), "see what the message names; then run doctor again")

    def _schema(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            if tables:
                yield fail(
                    f"{self._path} holds another application's tables", "name a file of Gatekeeper's own"
                )
            else:
                yield warn(f"{self._path} is empty", "it is filled at the first start of `gatekeeper serve`")
            return
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        current = row[0] if row else ""
        if current == self._head:
            yield ok(f"{self._path}, schema {current}")
        else:
            yield warn(
                f"{self._path} has schema {current or '(none)'}, this version's is {self._head}",
                "`gatekeeper serve` migrates it, after a backup; a newer one needs a newer Gatekeeper",
            )

    def _integrity(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        broken = [row[0] for row in connection.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        if broken:
            yield fail(f"the file is damaged: {'; '.join(broken)[:300]}", _RESTORE)
            return
        dangling = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        if dangling:
            yield fail(f"{dangling} rows refer to rows that are not there", _RESTORE)
        else:
            yield ok("integrity check passed")

    def _write(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        """One row written to the disk and taken away again, as durable as a sign-in."""
        connection.execute("PRAGMA synchronous=FULL")
        began = self._monotonic()
        connection.execute(
            "INSERT INTO facts (name, value, at) VALUES ('doctor', '', ?)"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            (self._clock(),),
        )
        connection.execute("DELETE FROM facts WHERE name = 'doctor'")
        seconds = (self._monotonic() - began) / 2
        text = f"a write takes {seconds * 1000:.0f} ms"
        if seconds > SLOW:
            yield warn(text, "put data_dir on a faster local disk: every sign-in waits for it")
        else:
            yield ok(text)

    def _future(self, connection: sqlite3.Connection) -> Iterator[Finding]:
        """What was written later than now was written by a clock that has gone back since."""
        last = connection.execute("SELECT max(at) FROM audit_events").fetchone()[0] or 0.0
        ahead = last - self._clock()
        if ahead > 60.0:
            yield fail(
                f"the newest audit event is {ahead:.0f} s in the future: the clock went back",
                "set the clock (timedatectl, chrony): sessions and codes are judged by it",
            )
