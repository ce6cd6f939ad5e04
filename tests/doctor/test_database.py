"""The embedded database, broken in every way that a restart would not heal."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gatekeeper.doctor.database import SqliteCheck
from gatekeeper.doctor.protocol import Level
from gatekeeper.storage.migrate import migrate
from tests.doctor.support import NOW, levels, run, texts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "gatekeeper.db")
    return tmp_path / "gatekeeper.db"


def check(path: Path, seconds: float = 0.001) -> SqliteCheck:
    ticks = count()
    head = "0003" if not path.exists() else _version(path)
    return SqliteCheck(path, head=head, clock=lambda: NOW, monotonic=lambda: next(ticks) * seconds)


def _version(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.suppress(sqlite3.Error):
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    return "0003"


@contextlib.contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def test_a_sound_database_takes_a_write_and_keeps_nothing_of_it(path: Path) -> None:
    assert levels(run(check(path))) == [Level.OK, Level.OK, Level.OK]
    with changed(path) as connection:
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (0,)


def test_no_database_is_made_by_looking(tmp_path: Path) -> None:
    assert levels(run(check(tmp_path / "gatekeeper.db"))) == [Level.WARN]
    assert list(tmp_path.iterdir()) == []


def test_another_schema_is_left_for_serve_to_migrate(path: Path) -> None:
    found = run(SqliteCheck(path, head="9999", clock=lambda: NOW))
    assert levels(found) == [Level.WARN]
    assert "9999" in found[0].text


def test_another_application_s_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with changed(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    assert "another application" in run(check(path))[0].text


def test_a_file_that_is_no_database_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    path.write_bytes(b"not a database at all" * 500)
    found = run(check(path))
    assert levels(found) == [Level.FAIL] and "not an SQLite database" in found[0].text


def test_a_damaged_page_is_found(path: Path) -> None:
    with changed(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_audit_events_at'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    found = run(check(path))
    assert Level.FAIL in levels(found)
    assert "damaged" in texts(found)


def test_dangling_rows_are_found(path: Path) -> None:
    with changed(path) as connection:
        connection.execute("INSERT INTO user_roles (user_id, role) VALUES (77, 'x')")
    assert "1 rows refer" in texts(run(check(path)))


def test_a_database_that_another_process_holds_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.doctor.database._WAIT", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = run(check(path))
    assert found[-1].level is Level.FAIL and "another process holds" in found[-1].text


def test_a_slow_disk_is_felt(path: Path) -> None:
    assert run(check(path, seconds=2.0))[2].level is Level.WARN


def test_events_from_the_future_betray_a_clock_that_went_back(path: Path) -> None:
    with changed(path) as connection:
        connection.execute(
            "INSERT INTO audit_events (at, kind, details) VALUES (?, 'sign_out', '{}')", (NOW + 3600,)
        )
    found = run(check(path))
    assert found[-1].level is Level.FAIL and "3600 s in the future" in found[-1].text
