"""What every session store must do; each store is one more parameter of `store`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import Cutoffs, EndReason, cutoffs
from gatekeeper.sessions.redis_store import RedisSessionStore
from gatekeeper.sessions.sql import SqlSessionStore
from tests.servers.databases import choose_postgresql
from tests.servers.redis import PASSWORD, redis_server
from tests.sessions.support import START, TIMEOUTS, World, record

NOTHING = Cutoffs(0.0, 0.0, 0.0, 0.0)
DAY = 86_400.0
Story = Callable[[SessionStore], Coroutine[Any, Any, None]]
Run = Callable[[Story], None]


async def _on_redis(folder: Path, story: Story) -> None:
    world = World(folder)
    server = redis_server()
    async with Redis(port=server.port, password=PASSWORD) as client:
        try:
            for login in ("pat", "kim"):
                await world.add_user(login)
            store = RedisSessionStore(client, await world.database(), TIMEOUTS, prefix=f"{folder}:")
            await story(store)
        finally:
            await world.close()


async def _on_a_database(folder: Path, story: Story) -> None:
    world = World(folder)
    try:
        for login in ("pat", "kim"):
            await world.add_user(login)
        await story(SqlSessionStore(await world.database()))
    finally:
        await world.close()


@pytest.fixture(params=["sqlite", "postgresql", "redis and sqlite", "redis and postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("gatekeeper.sessions.sql.BATCH", 3)
    if "postgresql" in request.param:
        choose_postgresql(tmp_path)
    on = _on_redis if "redis" in request.param else _on_a_database
    return lambda story: asyncio.run(on(tmp_path, story))


of_rows = pytest.mark.parametrize("run", ["sqlite", "postgresql"], indirect=True)
"""Redis forgets by itself what is over, and has no rows to look through."""


def test_what_was_created_is_found_as_it_was(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        made = record(remembered=True, second_factor_at=START, methods="pwd otp", user_agent="ü" * 300)
        await store.create(made)
        assert await store.get(made.key) == made
        assert await store.get(record(2).key) is EndReason.UNKNOWN

    run(story)


@pytest.mark.parametrize("reason", [EndReason.SIGNED_OUT, EndReason.REVOKED])
def test_an_ended_session_says_why_and_ends_once(run: Run, reason: EndReason) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record())
        assert await store.end(record().key, reason, START + 1)
        assert await store.get(record().key) is reason
        assert not await store.end(record().key, EndReason.SIGNED_OUT, START + 2)
        assert await store.get(record().key) is reason
        assert not await store.end(record(2).key, reason, START)

    run(story)


def test_activity_moves_forward_only_and_revives_nothing(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        key = record().key
        await store.create(record())
        await store.touch([(key, START + 10), (record(9).key, START)])
        await store.touch([(key, START + 5)])
        assert await store.get(key) == record(last_seen_at=START + 10)
        await store.end(key, EndReason.REVOKED, START + 11)
        await store.touch([(key, START + 20)])
        assert await store.get(key) is EndReason.REVOKED
        await store.touch([])

    run(story)


def test_an_end_by_time_gives_way_to_later_activity(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        key = record().key
        await store.create(record())
        await store.touch([(key, START + 10)])
        assert not await store.end(key, EndReason.IDLE, START + 900, judged=record())
        assert await store.end(key, EndReason.IDLE, START + 910, judged=record(last_seen_at=START + 10))
        assert await store.get(key) is EndReason.IDLE

    run(story)


def test_a_replaced_id_answers_until_its_grace_is_over_and_is_not_listed(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        old, new = record(1), record(2, second_factor_at=START)
        await store.create(old)
        assert await store.replace(old.key, new, grace_until=START + 10)
        assert await store.get(old.key) == old._replace(grace_until=START + 10)
        assert await store.get(new.key) == new
        assert await store.list(1) == [new]

    run(story)


def test_an_id_is_replaced_once_and_never_when_it_is_over(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1))
        assert await store.replace(record(1).key, record(2), grace_until=START + 10)
        assert not await store.replace(record(1).key, record(3), grace_until=START + 10)
        await store.end(record(2).key, EndReason.SIGNED_OUT, START)
        assert not await store.replace(record(2).key, record(4), grace_until=START + 10)
        assert not await store.replace(record(8).key, record(5), grace_until=START + 10)
        for number in (3, 4, 5):
            assert await store.get(record(number).key) is EndReason.UNKNOWN

    run(story)


@pytest.mark.parametrize("ended", [1, 2, 3])
def test_ending_any_id_of_a_session_ends_all_its_ids(run: Run, ended: int) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1))
        await store.create(record(7))
        for number in (1, 2):
            await store.replace(record(number).key, record(number + 1), grace_until=START + 10)
        assert await store.end(record(ended).key, EndReason.SIGNED_OUT, START + 1)
        for number in (1, 2, 3):
            assert await store.get(record(number).key) is EndReason.SIGNED_OUT
        assert await store.get(record(7).key) == record(7)

    run(story)


def test_ending_a_user_leaves_others_and_the_kept_session(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1))
        await store.create(record(2))
        await store.replace(record(2).key, record(3), grace_until=START + 10)
        await store.create(record(4))
        await store.create(record(5, user_id=2))
        assert await store.end_user(1, EndReason.REVOKED, START + 1, keep=record(3).key) == 2
        assert await store.get(record(1).key) is EndReason.REVOKED
        assert await store.get(record(4).key) is EndReason.REVOKED
        # The kept session goes on under the user's new epoch, its old id for the rest of its grace.
        assert await store.get(record(3).key) == record(3, epoch=1)
        assert await store.get(record(2).key) == record(2, epoch=1, grace_until=START + 10)
        assert await store.get(record(5, user_id=2).key) == record(5, user_id=2)
        assert await store.end_user(1, EndReason.REVOKED, START + 2) == 1
        assert await store.list(1) == []
        assert [found.key for found in await store.list()] == [record(5).key]

    run(story)


@of_rows
def test_what_is_over_by_time_is_written_down_with_its_reason(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1, at=START))
        await store.create(record(2, at=START, last_seen_at=START + 9_000))
        await store.create(record(3, at=START + 5_000, last_seen_at=START + 5_000))
        await store.create(record(4, at=START + 9_000, last_seen_at=START + 9_000))
        await store.create(record(5, at=START + 9_000, last_seen_at=START + 9_000))
        await store.replace(record(5).key, record(6, at=START + 9_000), grace_until=START + 9_010)
        over = Cutoffs(START, START + 5_000, START + 9_010, START + 9_010)
        ended = await store.expire(START + 9_010, over)
        assert ended == 4
        said = [await store.get(record(number).key) for number in range(1, 7)]
        assert [entry if isinstance(entry, EndReason) else "alive" for entry in said] == [
            EndReason.ABSOLUTE,
            EndReason.ABSOLUTE,
            EndReason.IDLE,
            "alive",
            EndReason.REPLACED,
            "alive",
        ]

    run(story)


@of_rows
def test_open_and_closed_tabs_are_told_apart_when_ends_are_written_down(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        made = [
            record(1, tab_seen_at=START, tab_closed_at=START + 100),  # closed 30 s ago
            record(2, tab_seen_at=START, tab_closed_at=START + 101),
            record(3, tab_seen_at=START + 101, tab_closed_at=START + 100),  # seen since
            record(4, tab_seen_at=START - 1_670),  # silent for half an hour
            record(5, tab_seen_at=START - 1_669),
            record(6, remembered=True, tab_seen_at=START - 9_000, tab_closed_at=START - 8_000),
            record(7, last_seen_at=START - 800, tab_seen_at=START, tab_closed_at=START + 71),  # idle before
        ]
        for one in made:
            await store.create(one)
        now = START + 130
        assert await store.expire(now, cutoffs(TIMEOUTS, now)) == 3
        said = [await store.get(one.key) for one in made]
        assert [entry if isinstance(entry, EndReason) else "alive" for entry in said] == [
            EndReason.CLOSED,
            "alive",
            "alive",
            EndReason.CLOSED,
            "alive",
            "alive",
            EndReason.IDLE,
        ]

    run(story)


def test_what_is_heard_of_tabs_moves_forward_only(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1))
        await store.see_tabs([(record(1).key, START + 50), (record(2).key, START + 50)])
        await store.see_tabs([(record(1).key, START + 40)])
        await store.close_tab(record(1).key, START + 30)
        await store.close_tab(record(1).key, START + 20)
        assert await store.get(record(1).key) == record(1, tab_seen_at=START + 50, tab_closed_at=START + 30)
        await store.end(record(1).key, EndReason.SIGNED_OUT, START + 60)
        await store.see_tabs([(record(1).key, START + 70)])
        await store.close_tab(record(1).key, START + 70)
        assert await store.get(record(1).key) is EndReason.SIGNED_OUT

    run(story)


def test_an_end_by_time_does_not_overtake_an_open_tab(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        judged = record(1, tab_seen_at=START, tab_closed_at=START + 1)
        await store.create(judged)
        await store.see_tabs([(judged.key, START + 2)])
        assert not await store.end(judged.key, EndReason.CLOSED, START + 31, judged=judged)
        seen = judged._replace(tab_seen_at=START + 2)
        assert await store.end(judged.key, EndReason.CLOSED, START + 1_900, judged=seen)

    run(story)


@of_rows
def test_purging_forgets_what_is_over_and_nothing_else(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        for number in range(5):
            await store.create(record(number, at=START))
        await store.create(record(9_001, at=START + 50))
        await store.create(record(9_002, at=START + 50))
        await store.end(record(9_002).key, EndReason.SIGNED_OUT, START + 60)
        for ended_before, remembered in ((START + 60, EndReason.SIGNED_OUT), (START + 61, EndReason.UNKNOWN)):
            await store.purge(Cutoffs(START + 1, START + 1, 0.0, 0.0), ended_before=ended_before)
            assert await store.get(record(9_002).key) is remembered
        assert await store.list() == [record(9_001, at=START + 50)]

    run(story)


@of_rows
def test_remembered_sessions_know_neither_time_out(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1, remembered=True))
        late = Cutoffs(START + 10 * DAY, START + 10 * DAY, START - 1, START - 1)
        assert await store.expire(START + 10 * DAY, late) == 0
        assert await store.purge(late, ended_before=START + 10 * DAY) == 0
        assert await store.get(record(1).key) == record(1, remembered=True)

    run(story)


@of_rows
def test_remembered_sessions_end_and_are_forgotten_by_times_of_their_own(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        made = [
            record(1, remembered=True),
            record(2, remembered=True, renewed_at=START + 5_000),
            record(3, remembered=True, renewed_at=START + 5_001),
            record(4, remembered=True, at=START + 5_001),
            record(5, remembered=True, at=START - 1, renewed_at=START + 9_000),
            record(6, at=START + 5_001),
        ]
        for one in made:
            await store.create(one)
        over = Cutoffs(0.0, 0.0, START - 1, START + 5_000)
        assert await store.expire(START + 9_010, over) == 3
        said = [await store.get(one.key) for one in made]
        assert [entry if isinstance(entry, EndReason) else "alive" for entry in said] == [
            EndReason.IDLE,
            EndReason.IDLE,
            "alive",
            "alive",
            EndReason.ABSOLUTE,
            "alive",
        ]
        assert await store.purge(over, ended_before=0.0) == 3
        said = [await store.get(one.key) for one in made]
        assert [entry is EndReason.UNKNOWN for entry in said] == [True, True, False, False, True, False]

    run(story)


def test_a_renewal_moves_forward_only(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        made = [record(number, remembered=True) for number in range(5)]
        for one in made:
            await store.create(one)
        await store.renew([(one.key, START + 600) for one in made], TIMEOUTS)
        await store.renew([(one.key, START + 300) for one in made], TIMEOUTS)
        for one in made:
            assert await store.get(one.key) == one._replace(renewed_at=START + 600)
        await store.renew([], TIMEOUTS)

    run(story)


def test_only_what_is_remembered_alive_and_current_is_renewed(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        remember, most = TIMEOUTS.remember, TIMEOUTS.remember_max
        plain, out = record(1), record(2, remembered=True)
        old, new = record(3, remembered=True), record(4, remembered=True)
        for one in (plain, out, old):
            await store.create(one)
        await store.end(out.key, EndReason.SIGNED_OUT, START)
        await store.replace(old.key, new, grace_until=START + 10)
        await store.renew([(one.key, START + 1) for one in (plain, out, old)], TIMEOUTS)
        assert await store.get(plain.key) == plain and await store.get(out.key) is EndReason.SIGNED_OUT
        assert await store.get(old.key) == old._replace(grace_until=START + 10)
        # To the second: the last moment renews, the deadline does not.
        await store.renew([(new.key, START + remember)], TIMEOUTS)
        assert await store.get(new.key) == new
        at = START
        while at + remember - 1 < START + most:
            at += remember - 1
            await store.renew([(new.key, at)], TIMEOUTS)
            assert await store.get(new.key) == new._replace(renewed_at=at)
        await store.renew([(new.key, START + most)], TIMEOUTS)
        assert await store.get(new.key) == new._replace(renewed_at=at)

    run(story)


def test_an_end_by_time_gives_way_to_a_later_renewal(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        made = record(remembered=True)
        await store.create(made)
        await store.renew([(made.key, START + 400)], TIMEOUTS)
        late = START + TIMEOUTS.remember
        assert not await store.end(made.key, EndReason.IDLE, late, judged=made)
        assert await store.end(made.key, EndReason.IDLE, late, judged=made._replace(renewed_at=START + 400))

    run(story)


def test_a_skipped_step_is_noted_in_the_current_id_alone(run: Run) -> None:
    async def story(store: SessionStore) -> None:
        await store.create(record(1))
        assert await store.skip(record(1).key, "welcome", START)
        assert await store.skip(record(1).key, "welcome", START)
        assert await store.get(record(1).key) == record(1, skipped="welcome")
        await store.replace(record(1).key, record(2), grace_until=START + 10)
        assert not await store.skip(record(1).key, "other", START)
        assert not await store.skip(record(3).key, "other", START)
        assert await store.get(record(2).key) == record(2)

    run(story)


def test_a_store_that_is_gone_says_so(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path)
        store = SqlSessionStore(await world.database())
        await world.close()
        for work in (
            store.get(b"k"),
            store.create(record()),
            store.replace(b"k", record(), grace_until=START),
            store.touch([(b"k", START)]),
            store.end(b"k", EndReason.REVOKED, START),
            store.renew([(b"k", START)], TIMEOUTS),
            store.skip(b"k", "welcome", START),
            store.end_user(1, EndReason.REVOKED, START),
            store.list(),
            store.expire(START, NOTHING),
            store.purge(NOTHING, ended_before=START),
        ):
            with pytest.raises(StoreUnavailable):
                await work

    asyncio.run(story())
