"""What callers may rely on: one writer, whole transactions, errors that speak to the operator."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage import engine as engine_module
from gatekeeper.storage.engine import Database
from gatekeeper.storage.errors import DatabaseUnusable
from gatekeeper.storage.revocations import Revocation, revoke_user, user_changed
from gatekeeper.storage.tables import facts, users


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    db = Database("sqlite:///gatekeeper.db", data_dir=folder)
    await db.open()
    try:
        yield db
    finally:
        await db.close()


async def put(db: Database, name: str, *, durable: bool = True) -> None:
    async with db.begin(durable=durable) as conn:
        await conn.execute(sa.insert(facts).values(name=name, value="v", at=1.0))


async def names(db: Database) -> set[str]:
    async with db.read() as conn:
        return set((await conn.scalars(sa.select(facts.c.name))).all())


def test_a_transaction_is_committed_whole_or_rolled_back_whole(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            await put(db, "kept")
            with pytest.raises(ZeroDivisionError):
                async with db.begin() as conn:
                    await conn.execute(sa.insert(facts).values(name="lost", value="v", at=1.0))
                    raise ZeroDivisionError
            assert await names(db) == {"kept"}

    asyncio.run(story())


def test_the_file_is_in_wal_mode_and_writes_wait_for_the_disk_unless_said_otherwise(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            for durable, synchronous in ((True, 2), (False, 1)):
                async with db.begin(durable=durable) as conn:
                    assert await conn.scalar(sa.text("PRAGMA synchronous")) == synchronous
                    assert await conn.scalar(sa.text("PRAGMA journal_mode")) == "wal"
                    assert await conn.scalar(sa.text("PRAGMA foreign_keys")) == 1

    asyncio.run(story())


def test_reading_connections_cannot_write(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            with pytest.raises(StoreUnavailable):
                async with db.read() as conn:
                    await conn.execute(sa.insert(facts).values(name="a", value="v", at=1.0))
            assert await names(db) == set()

    asyncio.run(story())


def test_many_writers_all_get_their_turn_and_readers_do_not_wait(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            await asyncio.gather(*(put(db, f"n{number}", durable=number % 2 == 0) for number in range(40)))
            assert len(await names(db)) == 40
            async with db.begin() as conn:
                await conn.execute(sa.insert(facts).values(name="open", value="v", at=1.0))
                assert len(await names(db)) == 40

    asyncio.run(story())


def test_a_transaction_inside_a_transaction_is_a_mistake_that_is_told_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            async with db.begin():
                with pytest.raises(RuntimeError, match="inside"):
                    await put(db, "inner")
            await put(db, "afterwards")

    asyncio.run(story())


def test_a_cancelled_write_frees_the_queue(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            inside = asyncio.Event()

            async def slow() -> None:
                async with db.begin() as conn:
                    await conn.execute(sa.insert(facts).values(name="lost", value="v", at=1.0))
                    inside.set()
                    await asyncio.Event().wait()

            task = asyncio.ensure_future(slow())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await put(db, "next")
            assert await names(db) == {"next"}

    asyncio.run(story())


def test_a_queue_of_writers_that_does_not_move_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "WRITE_WAIT", 0.05)

    async def story() -> None:
        async with opened(tmp_path) as db, db.begin():
            with pytest.raises(StoreUnavailable):
                await asyncio.ensure_future(put(db, "late"))

    asyncio.run(story())


def test_a_violated_constraint_is_an_answer_and_not_an_outage(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            await put(db, "same")
            with pytest.raises(IntegrityError) as caught:
                await put(db, "same")
            assert "'same'" not in str(caught.value)  # values of statements stay out of messages

    asyncio.run(story())


def test_a_full_disk_is_told_in_words_and_the_database_stays_whole(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            async with db.begin() as conn:
                pages = await conn.scalar(sa.text("PRAGMA page_count"))
                await conn.execute(sa.text(f"PRAGMA max_page_count={pages}"))
            with pytest.raises(StoreUnavailable, match="full"):
                async with db.begin() as conn:
                    await conn.execute(sa.insert(facts).values(name="big", value="v" * 100_000, at=1.0))
            assert await names(db) == set()

    asyncio.run(story())


def test_a_failed_write_is_remembered_for_a_while_and_a_violated_constraint_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        now = [0.0]
        db = Database(f"sqlite:///{tmp_path / 'a.db'}", clock=lambda: now[0])
        await db.open()
        try:
            await put(db, "same")
            with pytest.raises(IntegrityError):
                await put(db, "same")
            assert not db.write_failed_within(10.0)
            async with db.begin() as conn:
                pages = await conn.scalar(sa.text("PRAGMA page_count"))
                await conn.execute(sa.text(f"PRAGMA max_page_count={pages}"))
            with pytest.raises(StoreUnavailable, match="full"):
                async with db.begin() as conn:
                    await conn.execute(sa.insert(facts).values(name="big", value="v" * 100_000, at=1.0))
            assert db.write_failed_within(10.0)
            now[0] += 10.0
            assert not db.write_failed_within(10.0)
        finally:
            await db.close()

    asyncio.run(story())


def test_a_locked_database_is_an_outage_and_not_a_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.storage.sqlite_engines.BUSY_TIMEOUT", 0.1)

    async def story() -> None:
        async with opened(tmp_path) as db:
            with contextlib.closing(sqlite3.connect(db.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match="another process"):
                    await put(db, "late")
            await put(db, "free again")

    asyncio.run(story())


def test_a_closed_database_is_unavailable(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            pass
        with pytest.raises(StoreUnavailable):
            await put(db, "late")
        with pytest.raises(StoreUnavailable):
            await names(db)

    asyncio.run(story())


def test_opening_again_in_the_same_process_does_not_drop_its_locks_on_the_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as db:
            await put(db, "before")
            async with opened(tmp_path):
                pass
            other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM facts'); "
            # Without our locks the other process believes to be the last one, and takes the journal away.
            subprocess.run([sys.executable, "-c", other + "c.commit(); c.close()", str(db.path)], check=True)
            assert db.path.with_name("gatekeeper.db-wal").exists()
            assert await names(db) == set()

    asyncio.run(story())


@pytest.mark.parametrize(
    "url",
    ["nonsense", "postgresql://db.example.com/x", "sqlite://", "sqlite:///:memory:", "sqlite:///a?mode=ro"],
)
def test_an_address_that_cannot_work_is_refused_by_name(url: str) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        Database(url)
    assert caught.value.reason == "database_url"


def test_a_folder_that_is_a_file_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DatabaseUnusable, match=r"data/gatekeeper\.db: cannot be written") as caught:
        asyncio.run(Database("sqlite:///gatekeeper.db", data_dir=tmp_path / "data").open())
    assert caught.value.reason == "database_folder"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to become")
def test_a_folder_that_may_not_be_written_is_told_with_the_user(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from gatekeeper.storage.migrate import migrate\n"
        "folder = Path(sys.argv[1]); os.chdir(folder); os.setuid(65534)\n"
        "migrate(Path('gatekeeper.db'))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert "cannot be written by user id 65534: Permission denied" in done.stderr


def test_who_subscribed_hears_of_revocations_after_the_commit_and_only_then(tmp_path: Path) -> None:
    async def story() -> None:
        heard: list[Revocation] = []

        def hear(announced: Sequence[Revocation]) -> None:
            heard.extend(announced)

        async with opened(tmp_path) as db:
            stop = db.subscribe(hear)
            async with db.begin() as conn:
                await conn.execute(sa.insert(users).values(login="a", login_key="a", created_at=1.0))
                await revoke_user(conn, 1, 2.0)
                assert heard == []
            assert heard == [Revocation(None, 1)]
            with pytest.raises(ZeroDivisionError):
                async with db.begin() as conn:
                    await user_changed(conn, 1, 2.0)
                    raise ZeroDivisionError
            await put(db, "something else")
            assert len(heard) == 1
            stop()
            async with db.begin() as conn:
                await user_changed(conn, 1, 2.0)
            assert len(heard) == 1

    asyncio.run(story())


WRITER = """
import asyncio, sys
from pathlib import Path
import sqlalchemy as sa
from gatekeeper.storage.engine import Database
from gatekeeper.storage.tables import facts

async def main():
    db = Database("sqlite:///gatekeeper.db", data_dir=Path(sys.argv[1]))
    await db.open()
    number = 0
    while True:
        async with db.begin(durable=number % 3 != 0) as conn:
            for half in ("a", "b"):
                name = f"{sys.argv[2]}-{number}-{half}"
                await conn.execute(sa.insert(facts).values(name=name, value="v" * 500, at=1.0))
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


def test_processes_killed_in_the_middle_of_writes_leave_a_whole_database(tmp_path: Path) -> None:
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round_)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(30)]
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate(timeout=10)
        committed = int((said + rest.splitlines())[-1])
        with contextlib.closing(sqlite3.connect(tmp_path / "gatekeeper.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            stored = {name for (name,) in connection.execute("SELECT name FROM facts")}
        mine = {name for name in stored if name.startswith(f"{round_}-")}
        assert {f"{round_}-{number}-a" for number in range(committed + 1)} <= mine
        assert {name[:-1] for name in mine if name.endswith("a")} == {
            name[:-1] for name in mine if name.endswith("b")
        }
