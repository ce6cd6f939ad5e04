"""Backups made while people work, and restores that bring back nothing that ended."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli import main
from gatekeeper.serving.pidfile import PidFile
from gatekeeper.storage.backups import restore_backup, write_backup
from gatekeeper.storage.errors import DatabaseUnusable
from gatekeeper.storage.migrate import migrate

NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data/gatekeeper.db"
    migrate(path)
    with opened(path) as db:
        db.execute("INSERT INTO users (id, login, login_key, created_at) VALUES (1, 'ada', 'ada', 0)")
        db.execute(
            "INSERT INTO sessions (key, user_id, epoch, created_at, last_seen_at, remembered, methods,"
            " first_factor_at, second_factor_at, client, user_agent)"
            " VALUES (x'01', 1, 0, 0, 0, 0, 'pwd', 0, 0, '', '')"
        )
        db.execute("INSERT INTO tokens VALUES (x'02', 'recovery', 1, 0, ?, NULL)", (NOW + 999,))
        db.execute("INSERT INTO totp (user_id, secret, created_at, last_step) VALUES (1, x'03', 0, 5)")
        db.execute(
            "INSERT INTO outbox (kind, recipient, content, created_at, next_attempt_at)"
            " VALUES ('recovery', 'a@example.com', x'04', 0, 0)"
        )
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def one(path: Path, query: str) -> object:
    with opened(path) as db:
        return db.execute(query).fetchone()[0]


def test_a_copy_made_during_writes_is_whole_private_and_alone(database: Path, tmp_path: Path) -> None:
    stop, target = threading.Event(), tmp_path / "copy.db"

    def write() -> None:
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as db:
            while not stop.is_set():
                with db:  # both or neither
                    db.execute("UPDATE users SET failures = failures + 1")
                    db.execute("UPDATE users SET session_epoch = session_epoch + 1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            write_backup(database, target, force=True)
            assert one(target, "SELECT failures - session_epoch FROM users") == 0
    finally:
        stop.set()
        writer.join()
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data"]


def test_nothing_is_overwritten_unasked(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(FileExistsError):
        write_backup(database, target)
    assert target.read_text() == "precious"
    with pytest.raises(FileExistsError, match="itself"):
        write_backup(database, database, force=True)
    write_backup(database, target, force=True)
    with pytest.raises(FileExistsError):
        restore_backup(target, database, now=NOW, actor="cli:root")


def test_a_restore_ends_sessions_links_codes_and_waiting_mails(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    write_backup(database, target)
    with opened(database) as db:
        db.execute("UPDATE users SET name = 'of today'")
    done = restore_backup(target, database, now=NOW, actor="cli:root", force=True)
    assert (done.users, done.sessions_ended, done.links_closed) == (1, 1, 1)
    assert one(database, "SELECT ended_reason FROM sessions") == "revoked"
    assert one(database, "SELECT session_epoch FROM users") == 1
    assert one(database, "SELECT used_at FROM tokens") == NOW
    assert one(database, "SELECT last_step FROM totp") == NOW // 30 + 1
    assert one(database, "SELECT given_up FROM outbox WHERE content IS NULL") == "superseded"
    assert one(database, "SELECT actor FROM audit_events WHERE kind = 'database.restored'") == "cli:root"
    assert database.stat().st_mode & 0o777 == 0o600
    assert done.replaced is not None and one(done.replaced, "SELECT name FROM users") == "of today"
    assert (
        one(target, "SELECT count(*) FROM sessions WHERE ended_at IS NULL") == 1
    )  # the backup stays as it is


def test_what_is_damaged_or_foreign_is_not_restored(database: Path, tmp_path: Path) -> None:
    foreign, junk, newer = tmp_path / "foreign.db", tmp_path / "junk.db", tmp_path / "newer.db"
    with opened(foreign) as db:
        db.execute("CREATE TABLE invoices (id INTEGER)")
    junk.write_bytes(b"junk" * 1000)
    write_backup(database, newer)
    with opened(newer) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    before = database.read_bytes()
    for path, words in ((foreign, "no database of Gatekeeper"), (junk, "not an SQLite"), (newer, "newer")):
        with pytest.raises(DatabaseUnusable, match=words):
            restore_backup(path, database, now=NOW, actor="cli:root", force=True)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.glob(".*")] == []


def run(folder: Path, *arguments: str) -> Result:
    config = folder / "gatekeeper.yaml"
    config.write_text("public_url: https://app.example.com\nupstream: http://127.0.0.1:9\n")
    return CliRunner().invoke(main, [*arguments, "--config", str(config)])


def test_the_commands(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    done = run(tmp_path, "backup", str(target))
    assert done.exit_code == 0 and "The secret is not in it" in done.output
    assert run(tmp_path, "backup", str(target)).exit_code == 1
    refused = run(tmp_path, "restore", str(target))
    assert refused.exit_code == 1 and "--force" in refused.output
    serving = PidFile(database.parent)
    assert serving.take()
    refused = run(tmp_path, "restore", str(target), "--force")
    assert refused.exit_code == 1 and "stop it first" in refused.output
    serving.release()
    done = run(tmp_path, "restore", str(target), "--force")
    assert done.exit_code == 0 and "1 sessions ended" in done.output
