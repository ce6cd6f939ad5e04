"""The same database on a server: migrated once, whole or not at all, and every wait has an end."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage.engine import Database
from gatekeeper.storage.errors import DatabaseUnusable
from gatekeeper.storage.locks import hold_user
from gatekeeper.storage.tables import facts, metadata, users
from tests.servers.faults import fault_proxy
from tests.servers.postgres import PASSWORD, USER, postgres


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    db = Database(url, password=PASSWORD)
    await db.open()
    try:
        yield db
    finally:
        await db.close()


async def put(db: Database, name: str) -> None:
    async with db.begin() as conn:
        await conn.execute(sa.insert(facts).values(name=name, value="v", at=1.0))


async def names(db: Database) -> set[str]:
    async with db.read() as conn:
        return set((await conn.scalars(sa.select(facts.c.name))).all())


def through(port: int, url: str) -> str:
    """The same database behind a proxy."""
    return f"postgresql+psycopg://{USER}@127.0.0.1:{port}/{url.rpartition('/')[2]}"


def test_the_migrations_make_exactly_the_tables_that_the_code_uses() -> None:
    url = postgres().new_database()
    engine = sa.create_engine(sa.make_url(url).set(password=PASSWORD), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        described = sa.inspect(connection)
        for table in metadata.tables.values():
            wanted = {column.name: column.nullable for column in table.columns}
            assert {c["name"]: c["nullable"] for c in described.get_columns(table.name)} == wanted
            assert set(described.get_pk_constraint(table.name)["constrained_columns"]) == {
                column.name for column in table.primary_key
            }


def test_processes_that_start_together_migrate_once() -> None:
    url = postgres().new_database(empty=True)
    program = (
        "import sys; from gatekeeper.storage.postgresql import PostgresBackend\n"
        "PostgresBackend(sys.argv[1], sys.argv[2]).migrate(create=True)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, url, PASSWORD], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said


def test_a_migration_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres().new_database(empty=True)
    backend = Database(url, password=PASSWORD).backend
    monkeypatch.setattr("gatekeeper.storage.migrate.command.upgrade", _half_way)
    with pytest.raises(DatabaseUnusable):
        backend.migrate(create=True)
    monkeypatch.undo()
    backend.migrate(create=True)
    assert postgres().execute("SELECT count(*) FROM facts", url.rpartition("/")[2]) == [(0,)]


def _half_way(config: object, _target: str) -> None:
    connection: sa.Connection = config.attributes["connection"]  # type: ignore[attr-defined]
    connection.exec_driver_sql("CREATE TABLE facts (name text)")
    connection.exec_driver_sql("INSERT INTO missing VALUES (1)")


def test_what_is_not_ours_is_left_alone() -> None:
    for statement, reason in (
        ("CREATE TABLE orders (id integer)", "database_foreign"),
        ("CREATE TABLE alembic_version AS SELECT 'later' AS version_num", "database_newer"),
    ):
        url = postgres().new_database(empty=True)
        postgres().execute(statement, url.rpartition("/")[2])
        with pytest.raises(DatabaseUnusable) as caught:
            asyncio.run(Database(url, password=PASSWORD).open())
        assert caught.value.reason == reason


def test_a_command_does_not_make_tables_where_there_are_none() -> None:
    url = postgres().new_database(empty=True)
    with pytest.raises(DatabaseUnusable, match="is database right") as caught:
        asyncio.run(Database(url, password=PASSWORD).open(create=False))
    assert caught.value.reason == "database_empty"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "canary wrong"}, "database_denied"),
        ({"database": "nowhere"}, "database_denied"),
        ({"port": 1}, "database_unreachable"),
    ],
)
def test_a_server_that_cannot_be_used_is_told_in_words_without_the_password(
    change: dict[str, object], reason: str
) -> None:
    parsed = sa.make_url(postgres().url("postgres"))
    password = str(change.pop("password", PASSWORD))
    db = Database(parsed.set(**change).render_as_string(), password=password)  # type: ignore[arg-type]
    with pytest.raises(DatabaseUnusable) as caught:
        asyncio.run(db.open())
    assert caught.value.reason == reason
    assert password not in str(caught.value) and password not in repr(db.backend.__dict__)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://gatekeeper@db.example.com/x",
        "postgresql+asyncpg://gatekeeper@db.example.com/x",
        "postgresql+psycopg://db.example.com/x",
        "postgresql+psycopg://gatekeeper@db.example.com",
        "postgresql+psycopg://gatekeeper:canary@db.example.com/x",
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        Database(url)
    assert caught.value.reason == "database_url" and "canary" not in str(caught.value)


def test_transactions_are_whole_and_readers_cannot_write() -> None:
    async def story() -> None:
        async with opened(postgres().new_database()) as db:
            await put(db, "kept")
            with pytest.raises(ZeroDivisionError):
                async with db.begin() as conn:
                    await conn.execute(sa.insert(facts).values(name="lost", value="v", at=1.0))
                    raise ZeroDivisionError
            with pytest.raises(StoreUnavailable):
                async with db.read() as conn:
                    await conn.execute(sa.insert(facts).values(name="a", value="v", at=1.0))
            with pytest.raises(IntegrityError) as caught:
                await put(db, "kept")
            assert "'kept'" not in str(caught.value)
            assert await names(db) == {"kept"}

    asyncio.run(story())


def test_a_read_sees_one_state_and_the_modes_are_what_they_are_called() -> None:
    async def story() -> None:
        async with opened(postgres().new_database()) as db:
            async with db.read() as conn:
                assert len((await conn.scalars(sa.select(facts.c.name))).all()) == 0
                await asyncio.ensure_future(put(db, "meanwhile"))
                assert len((await conn.scalars(sa.select(facts.c.name))).all()) == 0
            for durable, mode in ((True, "on"), (False, "off")):
                async with db.begin(durable=durable) as conn:
                    assert await conn.scalar(sa.text("SHOW synchronous_commit")) == mode
                    assert await conn.scalar(sa.text("SHOW transaction_isolation")) == "read committed"

    asyncio.run(story())


def test_who_holds_an_account_is_waited_for_and_everybody_else_is_not() -> None:
    async def story() -> None:
        url = postgres().new_database()
        async with opened(url) as one, opened(url) as other:
            async with one.begin() as conn:
                for login in ("pat", "kim"):
                    await conn.execute(sa.insert(users).values(login=login, login_key=login, created_at=1.0))
            order: list[str] = []

            async def change(db: Database, user_id: int, said: str) -> None:
                async with db.begin() as conn:
                    await hold_user(conn, user_id)
                    order.append(said)

            async with one.begin() as conn:
                await hold_user(conn, 1)
                waiting = asyncio.ensure_future(change(other, 1, "same"))
                await asyncio.ensure_future(change(other, 2, "another"))
                await asyncio.sleep(0.05)
                order.append("first")
            await waiting
            assert order == ["another", "first", "same"]

    asyncio.run(story())


def test_the_pool_heals_after_the_server_ended_every_connection() -> None:
    async def story() -> None:
        url = postgres().new_database()
        async with opened(url) as db:
            await asyncio.gather(*(put(db, f"n{number}") for number in range(8)), names(db), names(db))
            postgres().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{url.rpartition('/')[2]}'"
            )
            assert len(await names(db)) == 8
            await asyncio.gather(*(put(db, f"m{number}") for number in range(8)))
            assert len(await names(db)) == 16

    asyncio.run(story())


def test_a_server_that_is_cut_off_costs_seconds_and_then_works_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatekeeper.storage.postgresql.ANSWER_TIMEOUT", 0.5)

    async def story() -> None:
        url = postgres().new_database()
        with fault_proxy(postgres().port) as proxy:
            async with opened(through(proxy.port, url)) as db:
                await put(db, "before")
                await names(db)
                proxy.stall()
                for work in (names(db), put(db, "lost")):
                    began = time.monotonic()
                    with pytest.raises(StoreUnavailable):
                        await work
                    assert time.monotonic() - began < 5.0
                proxy.resume()
                proxy.cut()
                await put(db, "after")
                assert await names(db) - {"lost"} == {"before", "after"}
                proxy.refuse()
                with pytest.raises(StoreUnavailable, match="reached"):
                    await names(db)
                proxy.resume()
                assert "after" in await names(db)

    asyncio.run(story())


def test_a_lock_that_nobody_gives_back_is_an_outage_and_not_a_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatekeeper.storage.postgresql.LOCK_TIMEOUT", 0.2)

    async def story() -> None:
        url = postgres().new_database()
        async with opened(url) as db:
            async with db.begin() as conn:
                await conn.execute(sa.insert(users).values(login="a", login_key="a", created_at=1.0))
            with postgres().connect(url.rpartition("/")[2]) as other, other.transaction():
                other.execute("SELECT id FROM users FOR UPDATE")
                with pytest.raises(StoreUnavailable, match="held a row"):
                    async with db.begin() as conn:
                        await hold_user(conn, 1)

    asyncio.run(story())


def test_a_cancelled_write_leaves_nothing_locked(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(postgres().new_database()) as db:
            async with db.begin() as conn:
                await conn.execute(sa.insert(users).values(login="a", login_key="a", created_at=1.0))

            async def slow() -> None:
                async with db.begin() as conn:
                    await hold_user(conn, 1)
                    await conn.execute(sa.text("SELECT pg_sleep(2)"))

            for _ in range(6):  # more than there are connections
                task = asyncio.ensure_future(slow())
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            async with asyncio.timeout(2.5), db.begin() as conn:
                await hold_user(conn, 1)

    asyncio.run(story())
