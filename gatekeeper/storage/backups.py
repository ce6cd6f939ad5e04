"""Copies of the embedded database: made while it is in use, and put back in its place.

A copy is a state of the past. What has happened since must not be undone by putting it back, where that would
open something: sessions that ended, links that were used, codes that were accepted.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alembic.script import ScriptDirectory
from alembic.util import CommandError

from gatekeeper.core.session import EndReason
from gatekeeper.storage.errors import FOREIGN, DatabaseUnusable, unusable
from gatekeeper.storage.migrate import alembic_config
from gatekeeper.storage.sqlite import connect_now, start_lock

TOTP_STEP = 30.0


class Restored(NamedTuple):
    """What was put back, and what was closed in it."""

    users: int
    sessions_ended: int
    links_closed: int
    replaced: Path | None
    """Where the database is now that was there before."""


def write_backup(database: Path, target: Path, *, force: bool = False) -> None:
    """Copy the committed state of `database`, which may be in use, to `target`: one file, mode 600, checked.

    Whole or not at all. Raises FileExistsError without `force`, OSError, DatabaseUnusable.
    """
    if target.exists() and not force:
        raise FileExistsError(f"{target} exists")
    if target.exists() and target.samefile(database):
        raise FileExistsError(f"{target} is the database itself")
    partial = _empty(target)
    try:
        with (
            _translated(database),
            contextlib.closing(connect_now(database)) as source,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # a write-ahead log would be a second file
            _check(copy, target)
        _put(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def restore_backup(backup: Path, database: Path, *, now: float, actor: str, force: bool = False) -> Restored:
    """Put `backup` in the place of `database`, which nobody may have open; `now` in seconds since the epoch.

    Every session in it is ended, every mailed link closed, every waiting mail given up. What was there
    before stays beside it. Raises FileExistsError without `force`, OSError, DatabaseUnusable.
    """
    if database.exists() and not force:
        raise FileExistsError(f"{database} exists")
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = _empty(database)
    try:
        with (
            _translated(backup),
            contextlib.closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
            _check(copy, backup)
            users, sessions, links = _close_the_past(copy, now, actor)
        with start_lock(database):
            replaced = _set_aside(database)
            _put(partial, database)
    finally:
        partial.unlink(missing_ok=True)
    return Restored(users, sessions, links, replaced)


def _check(copy: sqlite3.Connection, path: Path) -> None:
    """Raises DatabaseUnusable for anything but an undamaged database of this or an earlier version."""
    found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DatabaseUnusable(f"{path} is damaged: {'; '.join(found)[:300]}")
    if copy.execute("PRAGMA foreign_key_check").fetchall():
        raise DatabaseUnusable(f"{path} is damaged: rows refer to rows that are not there")
    try:
        (version,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        ScriptDirectory.from_config(alembic_config()).get_revision(version)
    except (sqlite3.Error, TypeError):
        raise DatabaseUnusable(f"{path} is no database of Gatekeeper", reason="database_foreign") from None
    except CommandError:
        raise DatabaseUnusable(
            f"{path} was written by a newer Gatekeeper (schema {version})", reason="database_newer"
        ) from None


def _close_the_past(copy: sqlite3.Connection, now: float, actor: str) -> tuple[int, int, int]:
    """In one transaction; how many accounts there are, sessions ended, links closed."""
    with copy:
        columns = {row[1] for row in copy.execute("PRAGMA table_info(users)")}
        users = copy.execute("SELECT count(*) FROM users").fetchone()[0]
        copy.execute("UPDATE users SET session_epoch = session_epoch + 1")
        sessions = copy.execute(
            "UPDATE sessions SET ended_at = ?, ended_reason = ? WHERE ended_at IS NULL",
            (now, EndReason.REVOKED.value),
        ).rowcount
        links = copy.execute(
            "UPDATE tokens SET used_at = ? WHERE used_at IS NULL AND expires_at > ?", (now, now)
        ).rowcount
        tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "outbox" in tables:
            copy.execute(
                "UPDATE outbox SET content = NULL, given_up = 'superseded'"
                " WHERE sent_at IS NULL AND given_up IS NULL"
            )
        if "totp" in tables and "failures" in columns:
            # A code that was accepted since the copy was made must not be accepted again.
            copy.execute("UPDATE totp SET last_step = max(last_step, ?)", (int(now // TOTP_STEP) + 1,))
        if "kept_forms" in tables:
            copy.execute("DELETE FROM kept_forms")
        copy.execute(
            "INSERT INTO audit_events (at, kind, actor, details) VALUES (?, 'database.restored', ?, '{}')",
            (now, actor),
        )
    return users, sessions, links


def _set_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    number, kept = 1, database.with_name(f"{database.name}.before-restore.backup")
    while kept.exists():
        number += 1
        kept = database.with_name(f"{database.name}.before-restore.{number}.backup")
    # The write-ahead log goes with it: without it the file is not the last state.
    for suffix in ("-wal", "-shm"):
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + suffix))
    database.rename(kept)
    return kept


def _empty(target: Path) -> Path:
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    return partial


def _put(partial: Path, target: Path) -> None:
    for path, flags in ((partial, os.O_RDONLY), (target.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            if path is partial:
                partial.rename(target)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FOREIGN as error:
        raise unusable(error, path) from error
