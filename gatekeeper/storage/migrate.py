"""Brings the database to the schema of this version: once, backed up before, whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from gatekeeper.storage.errors import FOREIGN, DatabaseUnusable, unusable
from gatekeeper.storage.sqlite import back_up, connect_now, prepare_folder, start_lock, switch_to_wal

MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    """Alembic's configuration without a file: the migrations travel inside the package."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def migrate(path: Path, *, config: Config | None = None) -> Path | None:
    """Create or migrate the SQLite database at `path`; the backup's path when one was made.

    Blocking: call it in a thread. Processes that start together wait for each other, and one migrates.
    Raises DatabaseUnusable.
    """
    prepare_folder(path)
    config = config or alembic_config()
    try:
        with start_lock(path):
            with contextlib.closing(connect_now(path)) as connection:
                switch_to_wal(connection, path)
            return _upgrade(path, config)
    except FOREIGN as error:
        raise unusable(error, path) from error


def _upgrade(path: Path, config: Config) -> Path | None:
    engine = sa.create_engine("sqlite://", creator=lambda: connect_now(path), poolclass=sa.NullPool)
    backup = None

    def keep(head: str) -> None:
        nonlocal backup
        backup = back_up(path, f"before-{head}")

    with engine.connect() as connection:
        # Rebuilding a table (all that SQLite can do for many changes) would set off foreign keys.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("PRAGMA synchronous=FULL")
        connection.rollback()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        # Another connection still reads the state before this transaction: that is what is copied.
        if not upgrade(connection, config, path, before=keep):
            return None
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise DatabaseUnusable(f"database {path}: the migration left {len(broken)} dangling rows")
        connection.commit()
    return backup


def upgrade(
    connection: sa.Connection,
    config: Config,
    name: object,
    *,
    before: Callable[[str], None] = lambda _head: None,
) -> bool:
    """Migrate inside the caller's transaction; False when there is nothing to do. `name` is for people.

    Calls `before` with the coming revision when there is something to lose. Raises DatabaseUnusable.
    """
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == head or head is None:
        return False
    _check_ours(connection, script, current, name)
    if current is not None:
        before(head)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def _check_ours(
    connection: sa.Connection, script: ScriptDirectory, current: str | None, name: object
) -> None:
    if current is None:
        tables = sa.inspect(connection).get_table_names()
        if tables:
            raise DatabaseUnusable(
                f"database {name}: holds tables of another application ({', '.join(sorted(tables)[:3])}…)",
                reason="database_foreign",
            )
        return
    try:
        known = script.get_revision(current) is not None
    except CommandError:
        known = False
    if not known:
        raise DatabaseUnusable(
            f"database {name}: was written by a newer Gatekeeper (schema {current}, this version knows up to "
            f"{script.get_current_head()}): install that version, or restore a backup from before it"
            + (f" ({name.name}.before-*.backup)" if isinstance(name, Path) else ""),
            reason="database_newer",
        )
