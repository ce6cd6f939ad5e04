"""A session that is not remembered ends with the last tab; navigation, reload and restoring do not end it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.session import EndReason, Session, SessionRecord, cutoffs
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.sessions.tabs import NAVIGATING, NOTE_EVERY, PARTING
from tests.sessions.support import NEVER, START, TIMEOUTS, World, ask, eventually, play, sign_in

LONG = TIMEOUTS._replace(idle=20_000.0)
"""So that idleness does not get in the way."""


async def found(manager: SessionManager, cookie: bytes, now: float) -> Session:
    session = await ask(manager, cookie, now)
    assert isinstance(session, Session), session
    return session


async def opened(manager: SessionManager, cookie: bytes, now: float = START) -> None:
    manager.tabs.opened(await found(manager, cookie, now), now)


async def closed(manager: SessionManager, cookie: bytes, now: float) -> None:
    await manager.tabs.closed(await found(manager, cookie, now), now)


def test_it_ends_thirty_seconds_after_its_last_tab_was_closed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        await closed(manager, cookie, START + 100)
        assert isinstance(await ask(manager, cookie, START + 129.9), Session)
        assert await ask(manager, cookie, START + 130) is EndReason.CLOSED
        assert await ask(manager, cookie, START + 120) is EndReason.CLOSED

    play(tmp_path, story)


@pytest.mark.parametrize("how", ["reload", "another tab", "navigation"])
def test_a_tab_that_is_heard_of_within_them_keeps_it(tmp_path: Path, how: str) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        await closed(manager, cookie, START + 100)
        session, now = await found(manager, cookie, START + 129), START + 129
        if how == "reload":
            manager.tabs.opened(session, now)
        elif how == "another tab":
            manager.tabs.seen(session, now)
        else:
            manager.used(session, now, navigation=True)
        assert isinstance(await ask(manager, cookie, now + 1_799), Session)

    play(tmp_path, story)


def test_what_a_closing_page_still_sends_keeps_it_not(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        await closed(manager, cookie, START + 100)
        now = START + 100 + PARTING - 0.1
        manager.used(await found(manager, cookie, now), now, navigation=False)
        assert await ask(manager, cookie, START + 130) is EndReason.CLOSED

    play(tmp_path, story)


def test_a_page_without_the_script_that_takes_the_place_of_one_with_it_keeps_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        manager.used(await found(manager, cookie, START + 100), START + 100, navigation=True)
        await closed(manager, cookie, START + 101)
        assert isinstance(await ask(manager, cookie, START + 1_000), Session)

    play(tmp_path, story)


def test_a_page_that_arrived_and_is_closed_at_once_does_not(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        manager.used(await found(manager, cookie, START + 100), START + 100, navigation=True)
        await opened(manager, cookie, START + 101)
        await closed(manager, cookie, START + 102)
        assert await ask(manager, cookie, START + 132) is EndReason.CLOSED

    play(tmp_path, story)


def test_a_page_asked_for_long_before_is_no_excuse(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        manager.used(await found(manager, cookie, START + 100), START + 100, navigation=True)
        at = START + 100 + NAVIGATING
        await closed(manager, cookie, at)
        assert await ask(manager, cookie, at + 30) is EndReason.CLOSED

    play(tmp_path, story)


def test_without_a_word_from_any_tab_it_ends_after_half_an_hour(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        for minute in range(1, 60):
            now = START + 60 * minute
            manager.tabs.seen(await found(manager, cookie, now), now)
        last = START + 60 * 59
        assert isinstance(await ask(manager, cookie, last + 1_799), Session)
        assert await ask(manager, cookie, last + 1_800) is EndReason.CLOSED

    play(tmp_path, story)


def test_where_the_script_never_ran_tabs_end_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await closed(manager, cookie, START + 1)
        assert isinstance(await ask(manager, cookie, START + 19_999), Session)
        assert await ask(manager, cookie, START + 20_000) is EndReason.IDLE

    play(tmp_path, story)


def test_a_remembered_session_outlives_its_tabs_and_is_renewed_by_them(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        await opened(manager, cookie)
        for minutes in (4, 5):
            now = START + 60 * minutes
            manager.tabs.seen(await found(manager, cookie, now), now)
            await manager._renewer.flush()
            renewed = await found(manager, cookie, now)
            assert renewed.record.renewed_at == (START + 300 if minutes == 5 else 0.0)
            assert renewed.record.last_seen_at == START  # an open tab is no activity
        await closed(manager, cookie, START + 400)
        assert isinstance(await ask(manager, cookie, START + 300 + TIMEOUTS.remember - 1), Session)

    play(tmp_path, story)


def test_an_open_tab_is_no_activity(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        for minute in range(1, 15):
            now = START + 60 * minute
            manager.tabs.seen(await found(manager, cookie, now), now)
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE

    play(tmp_path, story)


def test_the_reason_is_what_came_first(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        for login, at, reason in (("pat", 869, EndReason.CLOSED), ("kim", 871, EndReason.IDLE)):
            _, cookie = await sign_in(manager, await world.add_user(login))
            await opened(manager, cookie)
            await closed(manager, cookie, START + at)
            assert await ask(manager, cookie, START + 5_000) is reason

    play(tmp_path, story)


def test_another_process_hears_that_the_last_tab_was_closed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(timeouts=LONG), await world.process(timeouts=LONG)
        _, cookie = await sign_in(one, await world.add_user())
        await opened(one, cookie)
        await one.tabs.flush()
        await found(other, cookie, START + 99)
        generation = other._cache.generation
        await closed(one, cookie, START + 100)
        await eventually(lambda: other._cache.generation > generation)
        assert await ask(other, cookie, START + 130) is EndReason.CLOSED

    play(tmp_path, story)


def test_another_process_asks_before_it_says_that_no_tab_is_open(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(timeouts=LONG), await world.process(timeouts=LONG, interval=NEVER)
        _, cookie = await sign_in(one, await world.add_user())
        await opened(one, cookie)
        await closed(one, cookie, START + 100)
        await found(other, cookie, START + 101)
        await opened(one, cookie, START + 105)
        await one.tabs.flush()
        assert isinstance(await ask(other, cookie, START + 130), Session)

    play(tmp_path, story)


def test_an_open_tab_is_written_down_once_a_minute(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG, running=False)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        await manager.tabs.flush()
        for after, stored in ((NOTE_EVERY - 1, START), (NOTE_EVERY, START + NOTE_EVERY)):
            manager.tabs.seen(await found(manager, cookie, START + after), START + after)
            await manager.tabs.flush()
            assert (await found(manager, cookie, START + after)).record.tab_seen_at == stored

    play(tmp_path, story)


def test_clearing_up_ends_what_nobody_asks_about(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        await manager.tabs.flush()
        await closed(manager, cookie, START + 100)
        await manager._store.expire(START + 130, cutoffs(LONG, START + 130))
        assert await ask(manager, cookie, START + 120) is EndReason.CLOSED

    play(tmp_path, story)


def test_what_was_read_while_the_first_tab_was_written_down_is_not_cached(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG, running=False)
        _, cookie = await sign_in(manager, await world.add_user())
        await opened(manager, cookie)
        before = manager._cache.generation
        await manager.tabs.flush()
        assert manager._cache.generation > before

    play(tmp_path, story)


class Slow:
    """A store whose answer arrives when the test says, as it was when it was asked."""

    def __init__(self, store: SqlSessionStore) -> None:
        self._store = store
        self.asked: asyncio.Event | None = None
        self.answer = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, key: bytes) -> SessionRecord | EndReason:
        found = await self._store.get(key)
        if self.asked is not None:
            self.asked.set()
            await self.answer.wait()
        return found


def test_what_is_written_while_the_store_is_read_is_known_all_the_same(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(timeouts=LONG, running=False, wrap=Slow)
        store: Any = manager._store
        _, cookie = await sign_in(manager, await world.add_user())
        session = await found(manager, cookie, START)
        manager.tabs.opened(session, START + 5)
        manager.touch(session, START + 5)
        store.asked = asyncio.Event()
        reading = asyncio.ensure_future(manager.load(cookie, START + 5))
        await store.asked.wait()
        await manager.tabs.flush()
        await manager._activity.flush()
        store.answer.set()
        read = await reading
        assert isinstance(read, Session)
        assert (read.record.tab_seen_at, read.record.last_seen_at) == (START + 5, START + 5)

    play(tmp_path, story)
