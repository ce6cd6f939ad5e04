"""The SQLite file itself: folder, permissions, journal, backup. Synchronous: used at start, in a thread."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gatekeeper.storage.errors import DatabaseUnusable

BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for a writer in another process before the store counts as unavailable."""

START_TIMEOUT = 60.0
"""Seconds that a starting process waits for another one that is migrating."""


def file_of(url: str, folder: Path | None = None) -> tuple[URL, Path]:
    """The engine's URL and the file behind `sqlite:///path` or `sqlite+aiosqlite:///path`.

    Raises DatabaseUnusable for other databases, for memory (several connections would not see the same
    one) and for URL options. A relative path is taken from `folder`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            "database: not a URL such as sqlite:////var/lib/gatekeeper/gatekeeper.db", reason="database_url"
        ) from error
    if parsed.drivername not in ("sqlite", "sqlite+aiosqlite"):
        raise DatabaseUnusable(
            f"database: {parsed.drivername!r} is not supported, sqlite is", reason="database_url"
        )
    name = parsed.database or ""
    if name in ("", ":memory:") or name.startswith("file:") or parsed.query:
        raise DatabaseUnusable("database: must name a file, without options", reason="database_url")
    path = ((folder or Path()) / name).absolute()
    return parsed.set(drivername="sqlite+aiosqlite", database=str(path)), path


def prepare_folder(path: Path) -> None:
    """Make the folder (mode 700) and the file (mode 600): it holds password hashes and session keys.

    A file that exists is never opened here: closing it would drop the POSIX locks of every SQLite connection
    that this process has to it, and another process would then delete the journal under them.
    https://www.sqlite.org/howtocorrupt.html section 2.2
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # WAL needs to create files next to the database: an unwritable folder must fail here, with words.
        probe = path.with_name(f".{path.name}.probe-{os.getpid()}")
        os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        raise DatabaseUnusable(
            f"database {path}: cannot be written by user id {os.geteuid()}: {error.strerror or error}",
            reason="database_folder",
        ) from error


@contextlib.contextmanager
def start_lock(path: Path) -> Iterator[None]:
    """Let one process at a time through the start: the change to WAL and the migrations are not for two."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise DatabaseUnusable(
                        f"database {path}: another process has been starting for {START_TIMEOUT:.0f} s",
                        reason="database_locked",
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)  # also releases the lock


def connect_now(path: Path) -> sqlite3.Connection:
    """A plain connection without implicit transactions, for the start and for backups."""
    return sqlite3.connect(path, timeout=START_TIMEOUT, isolation_level=None)


def switch_to_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Readers never wait for the writer in WAL; a file system that cannot do it is refused."""
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise DatabaseUnusable(
            f"database {path}: the file system does not support WAL (journal mode stayed {mode!r}); "
            "use a local disk",
            reason="database_folder",
        )


def back_up(path: Path, label: str) -> Path:
    """Copy the committed state beside the database, mode 600, whole or not at all; the copy's path."""
    target = path.with_name(f"{path.name}.{label}.backup")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{label}.{number}.backup")
    partial = target.with_name(target.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(connect_now(path)) as source,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.rename(target)
    except OSError as error:
        raise DatabaseUnusable(
            f"database {path}: cannot be backed up before its migration: {error.strerror or error}",
            reason="database_full" if error.errno == errno.ENOSPC else "database_folder",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target
