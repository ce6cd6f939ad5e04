"""The process's table: bounded, kind to the garbage collector, of one opinion with the store."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.session import EndReason, Session, UserRecord
from gatekeeper.sessions.cache import HOT, SessionCache
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.sessions.manager import SessionManager
from tests.sessions.support import NEVER, START, World, ask, play, record, sign_in


def entry(number: int, user_id: int) -> tuple[bytes, Session]:
    user = UserRecord(user_id, f"login{user_id}", "", "", ("clerk", "boss"), False, 0)
    headers = ((b"remote-user", user.login.encode()),)
    return b"cookie%d" % number, Session(record(number, user_id=user_id), user, "", headers)


def test_it_never_grows_beyond_its_size_and_forgets_the_oldest() -> None:
    cache = SessionCache(80)
    for number in range(500):
        cache.put(*entry(number, number % 7), START, 900.0)
        assert len(cache) <= 80
    assert b"cookie499" in cache.table and b"cookie0" not in cache.table
    for user_id in range(7):
        cache.drop_user(user_id)
    assert not cache.table and not cache.seen and not cache._cookies and not cache._keys_of_user


def test_dropping_a_user_or_a_session_drops_that_and_no_other() -> None:
    cache = SessionCache(80)
    for number in range(10):
        cache.put(*entry(number, number % 2), START, 900.0)
    cache.drop_user(0)
    cache.drop_key(record(3).key)
    cache.drop_key(record(77).key)
    assert sorted(cache.table) == [b"cookie1", b"cookie5", b"cookie7", b"cookie9"]
    assert record(1).key in cache and record(3).key not in cache


def test_one_session_under_two_cookies_is_dropped_under_both() -> None:
    cache = SessionCache(80)
    _, session = entry(1, 1)
    cache.put(b"signed with the old secret", session, START, 900.0)
    cache.put(b"signed with the new secret", session, START, 900.0)
    cache.drop_key(session.record.key)
    assert not cache.table and not cache._keys_of_user


def test_putting_again_does_not_set_activity_back() -> None:
    cache = SessionCache(80)
    cookie, session = entry(1, 1)
    cache.put(cookie, session, START, 900.0)
    cache.seen[session.record.key] = START + 50
    cache.put(cookie, session, START, 900.0)
    assert cache.seen[session.record.key] == START + 50


def test_the_garbage_collector_does_not_follow_the_entries() -> None:
    cache = SessionCache(80)
    for number in range(50):
        cache.put(*entry(number, number), START, 900.0)
    for _ in range(4):  # a tuple is let go when its parts were
        gc.collect()
    assert not any(gc.is_tracked(held) for held in cache.table.values())


def test_a_burst_is_answered_with_one_object_that_dies_with_its_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        pat, kim = await world.add_user("pat"), await world.add_user("kim")
        session, cookie = await sign_in(manager, pat)
        _, other = await sign_in(manager, kim)
        first = manager.peek(cookie, START)
        assert manager.peek(cookie, START + 1) is first is not None
        manager.touch(session, START + 2)
        manager.heard(manager._monotonic())
        again = manager.peek(cookie, START + 2)
        assert isinstance(again, Session) and again.record.last_seen_at == START + 2
        assert manager.peek(other, START) is not None
        await manager.end(session, EndReason.SIGNED_OUT)
        assert manager.peek(cookie, START + 2) is None and manager.peek(other, START) is not None
        await manager.end_user(kim, EndReason.REVOKED)
        assert manager.peek(other, START) is None

    play(tmp_path, story)


def test_a_built_session_answers_neither_past_a_deadline_nor_when_the_channel_is_silent(
    tmp_path: Path,
) -> None:
    async def story(world: World) -> None:
        ticks = [0.0]
        manager = await world.process(interval=NEVER, monotonic=lambda: ticks[0])
        manager.heard(0.0)
        _, cookie = await sign_in(manager, await world.add_user())
        assert manager.peek(cookie, START) is manager.peek(cookie, START + 899.999) is not None
        assert manager.peek(cookie, START + 900) is None
        ticks[0] = 1.0
        assert manager.peek(cookie, START) is None

    play(tmp_path, story)


def test_few_sessions_are_kept_built(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        for number in range(HOT + 20):
            cookie, session = entry(number, number)
            manager._cache.put(cookie, session, START + 900, 900.0)
            assert isinstance(manager.peek(cookie, START), Session)
        assert len(manager._hot) == HOT
        manager.lost()
        assert not manager._hot

    play(tmp_path, story)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "touch", "step up", "end", "end user", "end others", "wait"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 1.0, 9.0, 300.0, 899.0, 900.0]),
    ),
    min_size=3,
    max_size=10,
)


class Play:
    """The same story told to a process with a cache; one without judges it."""

    def __init__(self, world: World, cached: SessionManager, user_ids: list[int]) -> None:
        self.world, self.cached, self.users = world, cached, user_ids
        self.known: list[tuple[Session, bytes]] = []

    async def step(self, what: str, number: int, seconds: float) -> None:
        manager = self.cached
        self.world.clock.now += seconds
        now = self.world.clock.now
        user_id = self.users[number % 2]
        if what == "start":
            self.known.append(await sign_in(manager, user_id, remembered=seconds > 300.0))
        elif what == "end user":
            await manager.end_user(user_id, EndReason.REVOKED)
        elif self.known and what != "wait":
            session, cookie = self.known[number % len(self.known)]
            alive = isinstance(await ask(manager, cookie, now), Session)
            if what == "touch" and alive:
                manager.touch(session, now)
            elif what == "end":
                await manager.end(session, EndReason.SIGNED_OUT)
            elif what == "end others":
                await manager.end_user(session.user.id, EndReason.REVOKED, keep=session.record.key)
            elif what == "step up" and alive:
                await self._step_up(session)

    async def _step_up(self, session: Session) -> None:
        try:
            stepped, cookie = await self.cached.step_up(session, method="otp", second_factor=True)
        except SessionOver:
            return
        self.known.append((stepped, cookie.encode()))


def same(mine: Session | EndReason, theirs: Session | EndReason) -> bool:
    """Equal, but for a last activity that the cache may be behind with until the next look at the channel."""
    if isinstance(mine, Session) and isinstance(theirs, Session):
        assert mine.record.last_seen_at <= theirs.record.last_seen_at
        mine = mine._replace(record=mine.record._replace(last_seen_at=theirs.record.last_seen_at))
    return mine == theirs


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_cache_and_store_are_of_one_opinion(steps: list[tuple[str, int, float]]) -> None:
    async def story(folder: Path) -> None:
        world = World(folder)
        try:
            judge = await world.process(running=False)
            cached = await world.process(interval=NEVER, monotonic=lambda: 0.0, cache_size=4)
            users = [await world.add_user("pat"), await world.add_user("kim", "two factors")]
            told = Play(world, cached, users)
            for step in steps:
                await told.step(*step)
                await cached._activity.flush()
                await cached._renewer.flush()
                for _, cookie in told.known:
                    mine = await ask(cached, cookie, world.clock.now)
                    theirs: Any = await judge.load(cookie, world.clock.now)
                    assert same(mine, theirs), step
        finally:
            await world.close()
        assert world.errors == []

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))
