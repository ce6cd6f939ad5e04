"""A database comes to this version's schema by itself, once, and never without a way back."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gatekeeper.storage.errors import DatabaseUnusable
from gatekeeper.storage.migrate import MIGRATIONS, alembic_config, migrate
from gatekeeper.storage.tables import metadata

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"

def upgrade():
    op.add_column("facts", sa.Column("note", sa.Text))
    {more}
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def described(path: Path) -> dict[str, object]:
    with opened(path) as connection:
        tables = connection.execute(
            "SELECT name, sql LIKE '%AUTOINCREMENT%' FROM sqlite_master"
            " WHERE type = 'table' AND name NOT IN ('alembic_version', 'sqlite_sequence')"
        ).fetchall()
        return {
            name: (
                counted,
                connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                connection.execute(f"PRAGMA foreign_key_list({name})").fetchall(),
                sorted(row[1:] for row in connection.execute(f"PRAGMA index_list({name})")),
            )
            for name, counted in tables
        }


def head() -> str:
    found = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert found
    return found


def with_next_version(folder: Path, more: str = "pass") -> Config:
    """Our migrations plus one that a coming version might bring."""
    (folder / "0000_next.py").write_text(NEXT.format(head=head(), more=more))
    config = alembic_config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{MIGRATIONS / 'versions'}\n{folder}")
    return config


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    # What Alembic does not compare, or not rightly: defaults, primary keys, foreign keys, AUTOINCREMENT.
    wanted = sa.create_engine(f"sqlite:///{tmp_path / 'wanted.db'}", poolclass=sa.NullPool)
    metadata.create_all(wanted)
    assert described(path) == described(tmp_path / "wanted.db")


def test_a_new_database_needs_no_backup_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "data" / "gatekeeper.db"
    assert migrate(path) is None
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


def test_opening_again_changes_nothing_and_copies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    assert migrate(path) is None
    assert not list(tmp_path.glob("*.backup"))


def test_a_pending_migration_is_preceded_by_a_backup_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    with opened(path) as connection:
        connection.execute("INSERT INTO facts VALUES ('a', 'b', 1.0)")
    (tmp_path / "versions").mkdir()
    backup = migrate(path, config=with_next_version(tmp_path / "versions"))
    assert backup is not None and backup.stat().st_mode & 0o777 == 0o600
    with opened(backup) as connection:
        assert connection.execute("SELECT * FROM facts").fetchall() == [("a", "b", 1.0)]
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(head(),)]
    with opened(path) as connection:
        assert connection.execute("SELECT * FROM facts").fetchall() == [("a", "b", 1.0, None)]


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    with opened(path) as connection:
        before = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    (tmp_path / "versions").mkdir()
    config = with_next_version(tmp_path / "versions", 'op.execute("INSERT INTO missing VALUES (1)")')
    with pytest.raises(DatabaseUnusable):
        migrate(path, config=config)
    with opened(path) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == before
    assert migrate(path) is None


def test_a_migration_that_leaves_dangling_rows_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    (tmp_path / "versions").mkdir()
    config = with_next_version(
        tmp_path / "versions", "op.execute(\"INSERT INTO user_roles VALUES (7, 'clerk')\")"
    )
    with pytest.raises(DatabaseUnusable, match="dangling"):
        migrate(path, config=config)
    with opened(path) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(head(),)]


def test_a_backup_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    (tmp_path / "versions").mkdir()
    config = with_next_version(tmp_path / "versions")
    migrate(path)
    first = migrate(path, config=config)
    path.unlink()
    migrate(path)
    second = migrate(path, config=config)
    assert first and second and first != second and first.exists() and second.exists()


def test_a_database_of_a_newer_version_is_refused_and_told_why(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    (tmp_path / "versions").mkdir()
    migrate(path, config=with_next_version(tmp_path / "versions"))
    with pytest.raises(DatabaseUnusable, match="newer Gatekeeper") as caught:
        migrate(path)
    assert caught.value.reason == "database_newer"


def test_a_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with opened(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(DatabaseUnusable, match="orders") as caught:
        migrate(path)
    assert caught.value.reason == "database_foreign"


def test_a_file_that_is_no_database_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    path.write_text("public_url: https://gate.example.com\n" * 100)
    with pytest.raises(DatabaseUnusable, match="not an SQLite database"):
        migrate(path)


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    (tmp_path / "versions").mkdir()
    with_next_version(tmp_path / "versions", "import time; time.sleep(0.5)")
    program = (
        "import sys; from pathlib import Path; from gatekeeper.storage.migrate import *\n"
        "config = alembic_config(); config.set_main_option('path_separator', 'newline')\n"
        "config.set_main_option('version_locations', f\"{MIGRATIONS / 'versions'}\\n{sys.argv[2]}\")\n"
        "print(migrate(Path(sys.argv[1]), config=config))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(tmp_path / "versions")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=30)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(line == "None" for line in said) == [False, True, True]
    assert len(list(tmp_path.glob("*.backup"))) == 1


def test_processes_that_create_a_database_together_all_start(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from gatekeeper.storage.migrate import migrate; "
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program + "migrate(Path(sys.argv[1]))", str(tmp_path / "new.db")]
        )
        for _ in range(4)
    ]
    assert [process.wait(timeout=30) for process in started] == [0, 0, 0, 0]
