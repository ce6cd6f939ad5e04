"""Two nodes do something with one session at the same moment: whatever comes first, nothing ended lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatekeeper.core.session import EndReason, SessionRecord
from gatekeeper.sessions.sql import SqlSessionStore
from tests.sessions.support import START, TIMEOUTS, World, play, record

pytestmark = pytest.mark.databases

ROUNDS = 25


async def two(world: World) -> tuple[SqlSessionStore, SqlSessionStore]:
    await world.add_user()
    return SqlSessionStore(await world.database()), SqlSessionStore(await world.database())


def test_a_sign_out_beside_a_step_up_leaves_no_id_alive(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await two(world)
        for number in range(0, ROUNDS * 2, 2):
            old, new = record(number), record(number + 1)
            await one.create(old)
            await asyncio.gather(
                one.replace(old.key, new, grace_until=START + 10),
                other.end(old.key, EndReason.SIGNED_OUT, START + 1),
            )
            for each in (old, new):
                assert isinstance(await one.get(each.key), EndReason), "alive after the sign-out"

    play(tmp_path, story)


def test_ending_all_of_a_user_beside_a_step_up_keeps_the_kept_session_and_no_other(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await two(world)
        for number in range(0, ROUNDS * 3, 3):
            kept, stepped, stranger = record(number), record(number + 1), record(number + 2)
            for each in (kept, stranger):
                await one.create(each)
            replaced, _ = await asyncio.gather(
                one.replace(kept.key, stepped, grace_until=START + 10),
                other.end_user(1, EndReason.REVOKED, START + 1, keep=kept.key),
            )
            assert replaced
            assert isinstance(await one.get(stepped.key), SessionRecord), "the session to be kept has ended"
            assert await one.get(stranger.key) is EndReason.REVOKED

    play(tmp_path, story)


def test_steps_skipped_at_once_are_all_noted(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await two(world)
        await one.create(record(1))
        steps = [f"step{number}" for number in range(12)]
        stores = (one, other)
        await asyncio.gather(
            *(stores[place % 2].skip(record(1).key, step, START) for place, step in enumerate(steps))
        )
        found = await one.get(record(1).key)
        assert isinstance(found, SessionRecord) and sorted(found.skipped.split()) == sorted(steps)

    play(tmp_path, story)


def test_activity_renewals_and_revocations_of_many_nodes_never_wait_in_a_circle(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await two(world)
        made = [record(number, remembered=number % 2 == 0) for number in range(60)]
        for each in made:
            await one.create(each)
        keys = [each.key for each in made]
        for round_ in range(1, 6):
            seen = [(key, START + round_) for key in keys]
            await asyncio.gather(
                one.touch(seen),
                other.touch(seen[::-1]),
                one.renew(seen, TIMEOUTS),
                other.renew(seen[::-1], TIMEOUTS),
                other.end(keys[round_], EndReason.SIGNED_OUT, START),
                one.end_user(1, EndReason.REVOKED, START) if round_ == 5 else one.list(1),
            )
        assert await one.list(1) == []

    play(tmp_path, story)
