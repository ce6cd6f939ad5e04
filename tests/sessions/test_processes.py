"""Two managers on one database stand for two processes; in one test it is a real one."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import EndReason, Session, SessionRecord
from gatekeeper.sessions.activity import flush_interval
from tests.servers.databases import read_now
from tests.sessions.support import NEVER, START, HandClock, World, ask, eventually, play, sign_in


def stored_activity(world: World) -> float:
    found: float = read_now(world.folder, "SELECT max(last_seen_at) FROM sessions")
    return found


def test_a_session_started_in_one_process_is_good_in_the_other(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(), await world.process()
        _, cookie = await sign_in(one, await world.add_user())
        assert other.peek(cookie, START) is None
        assert isinstance(await other.load(cookie, START), Session)
        assert isinstance(other.peek(cookie, START), Session)

    play(tmp_path, story)


@pytest.mark.databases
@pytest.mark.parametrize("how", ["sign out", "end user"])
def test_a_revocation_reaches_the_other_process(tmp_path: Path, how: str) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(), await world.process()
        user = await world.add_user()
        session, cookie = await sign_in(one, user)
        _, untouched = await sign_in(one, await world.add_user("kim"))
        for known in (cookie, untouched):
            assert isinstance(await other.load(known, START), Session)
        if how == "sign out":
            await one.end(session, EndReason.SIGNED_OUT)
        else:
            await one.end_user(user, EndReason.REVOKED)
        await eventually(lambda: other.peek(cookie, START) is None, within=1.0)
        assert await other.load(cookie, START) in (EndReason.SIGNED_OUT, EndReason.REVOKED)
        assert isinstance(other.peek(untouched, START), Session)

    play(tmp_path, story)


REVOKE = """
import asyncio, sys, time
from pathlib import Path
from gatekeeper.core.session import EndReason
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.storage.engine import Database

async def main():
    db = Database("sqlite:///gatekeeper.db", data_dir=Path(sys.argv[1]))
    await db.open()
    await SqlSessionStore(db).end_user(int(sys.argv[2]), EndReason.REVOKED, 1.0)
    print(time.monotonic())
    await db.close()

asyncio.run(main())
"""


@pytest.mark.sqlite
def test_a_revocation_by_a_real_second_process_counts_here_within_a_second(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=0.25)
        user = await world.add_user()
        session, cookie = await sign_in(manager, user)
        cut: list[float] = []
        manager.watch(session, lambda: cut.append(time.monotonic()))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", REVOKE, str(tmp_path), str(user), stdout=asyncio.subprocess.PIPE
        )
        last_good = 0.0
        async with asyncio.timeout(20):
            while isinstance(manager.peek(cookie, START), Session):
                last_good = time.monotonic()
                await asyncio.sleep(0.002)
        said, _ = await process.communicate()
        assert process.returncode == 0
        assert last_good - float(said) < 1.0
        assert await manager.load(cookie, START) is EndReason.REVOKED
        await eventually(lambda: cut != [])

    play(tmp_path, story)


@pytest.mark.sqlite
def test_a_process_that_hears_nothing_for_a_second_asks_the_store(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        monotonic = HandClock(50.0)
        one = await world.process()
        deaf = await world.process(monotonic=monotonic, interval=NEVER)
        deaf.heard(50.0)
        session, cookie = await sign_in(deaf, await world.add_user())
        await one.end(session, EndReason.REVOKED)
        monotonic.now = 50.999
        assert isinstance(deaf.peek(cookie, START), Session) and deaf.healthy(START)
        monotonic.now = 51.0
        assert deaf.peek(cookie, START) is None and not deaf.healthy(START)
        assert await deaf.load(cookie, START) is EndReason.REVOKED

    play(tmp_path, story)


@pytest.mark.sqlite
def test_a_channel_that_breaks_is_opened_again_and_what_was_cached_before_is_dropped(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = await world.process()
        _, cookie = await sign_in(one, await world.add_user())
        monkey = sqlite3.connect(tmp_path / "gatekeeper.db", isolation_level=None)
        monkey.execute("ALTER TABLE revocations RENAME TO hidden")
        await eventually(lambda: bool(world.errors))
        monkey.execute("ALTER TABLE hidden RENAME TO revocations")
        monkey.close()
        assert all(isinstance(error, sqlite3.OperationalError) for error in world.errors)
        await eventually(lambda: len(one._cache) == 0)
        assert isinstance(await ask(one, cookie, START), Session)
        await eventually(lambda: one.healthy(START))
        world.errors.clear()

    play(tmp_path, story)


def test_activity_is_written_behind_in_batches(tmp_path: Path) -> None:
    assert (flush_interval(900.0), flush_interval(120.0), flush_interval(36_000.0)) == (5.0, 2.0, 5.0)

    async def story(world: World) -> None:
        manager = await world.process()
        session, _ = await sign_in(manager, await world.add_user())
        for second in range(1, 100):
            manager.touch(session, START + second)
        await asyncio.sleep(0.05)
        assert stored_activity(world) == START
        await manager.close()
        assert stored_activity(world) == START + 99
        await manager.open()

    play(tmp_path, story)


@pytest.mark.databases
def test_activity_near_the_deadline_is_seen_by_the_other_process_in_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(), await world.process()
        session, cookie = await sign_in(one, await world.add_user())
        one.touch(session, START + 895)
        await eventually(lambda: stored_activity(world) == START + 895, within=1.0)  # not after 5 s
        assert isinstance(await ask(other, cookie, START + 900), Session)
        assert await ask(other, cookie, START + 1_795) is EndReason.IDLE
        # And the process that had it cached hears of the end that the other one wrote down.
        await eventually(lambda: one.peek(cookie, START + 895) is None)
        assert await ask(one, cookie, START + 895) is EndReason.IDLE

    play(tmp_path, story)


def test_activity_that_is_being_written_at_the_deadline_is_waited_for(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = await world.process()
        other = await world.process(confirm_delay=0.1)
        session, cookie = await sign_in(one, await world.add_user())
        asked = asyncio.ensure_future(other.load(cookie, START + 900))
        await asyncio.sleep(0.03)
        one.touch(session, START + 899.99)
        assert isinstance(await asked, Session)

    play(tmp_path, story)


class Wrapped:
    """A store of which a test takes single answers into its own hands."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.read: asyncio.Event | None = None
        self.answer = asyncio.Event()
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, key: bytes) -> SessionRecord | EndReason:
        store: SessionStore = self._store
        if self.broken:
            raise StoreUnavailable
        found = await store.get(key)
        if self.read is not None:
            self.read.set()
            self.read = None
            await self.answer.wait()
        return found

    async def touch(self, seen: Any) -> None:
        if self.broken:
            raise StoreUnavailable
        await self._store.touch(seen)


def test_what_was_read_before_a_revocation_is_not_cached_after_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = await world.process()
        slow = await world.process(wrap=Wrapped)
        store: Any = slow._store
        session, cookie = await sign_in(one, await world.add_user())
        read = store.read = asyncio.Event()
        asked = asyncio.ensure_future(slow.load(cookie, START))
        await read.wait()
        generation = slow._cache.generation
        await one.end(session, EndReason.REVOKED)
        await eventually(lambda: slow._cache.generation > generation)
        store.answer.set()
        await asked
        assert await ask(slow, cookie, START) is EndReason.REVOKED

    play(tmp_path, story)


def test_activity_outlives_an_outage_of_the_store(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(wrap=Wrapped)
        store: Any = manager._store
        session, _ = await sign_in(manager, await world.add_user())
        store.broken = True
        manager.touch(session, START + 895)
        await eventually(lambda: bool(world.errors))
        assert [type(error) for error in world.errors] == [StoreUnavailable]
        assert not manager.healthy(START)
        store.broken = False
        await manager.close()
        assert stored_activity(world) == START + 895
        await manager.open()
        assert manager.healthy(START)
        world.errors.clear()

    play(tmp_path, story)


def test_a_watcher_hears_of_a_revocation_during_an_outage_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.sessions.upkeep._RETRY", 0.02)

    async def story(world: World) -> None:
        one = await world.process()
        other = await world.process(wrap=Wrapped)
        store: Any = other._store
        _, cookie = await sign_in(one, await world.add_user())
        seen = await other.load(cookie, START)
        assert isinstance(seen, Session)
        calls: list[int] = []
        other.watch(seen, lambda: calls.append(1))
        store.broken = True
        await one.end(seen, EndReason.REVOKED)
        await eventually(lambda: bool(world.errors))
        assert calls == []
        store.broken = False
        await eventually(lambda: calls == [1])
        world.errors.clear()

    play(tmp_path, story)
