"""Long answers and WebSockets end with a revocation, and not with a time-out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatekeeper.core.session import EndReason, Session
from gatekeeper.storage.revocations import revoke_user, user_changed
from tests.sessions.support import NEVER, START, World, ask, eventually, play, sign_in


class Stream:
    """Something that wants to be cut."""

    def __init__(self) -> None:
        self.cuts = 0

    def cut(self) -> None:
        self.cuts += 1


@pytest.mark.parametrize("how", ["session", "user"])
def test_a_revocation_cuts_once(tmp_path: Path, how: str) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user()
        session, _ = await sign_in(manager, user)
        neighbour, _ = await sign_in(manager, await world.add_user("kim"))
        streams = [Stream(), Stream(), Stream()]
        for stream, of in zip(streams, (session, session, neighbour), strict=True):
            manager.watch(of, stream.cut)
        for _ in range(2):
            if how == "session":
                await manager.end(session, EndReason.SIGNED_OUT)
            else:
                await manager.end_user(user, EndReason.REVOKED)
            await eventually(lambda: streams[0].cuts > 0)
        assert [stream.cuts for stream in streams] == [1, 1, 0]

    play(tmp_path, story)


def test_a_time_out_and_a_changed_name_cut_nothing_but_a_later_revocation_does(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        db = await world.database()
        user = await world.add_user()
        session, cookie = await sign_in(manager, user)
        stream = Stream()
        manager.watch(session, stream.cut)
        async with db.begin() as conn:
            await user_changed(conn, user, START)
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE
        await asyncio.sleep(0.1)
        assert stream.cuts == 0
        async with db.begin() as conn:
            await revoke_user(conn, user, START)
        await eventually(lambda: stream.cuts == 1)

    play(tmp_path, story)


def test_a_session_revoked_before_it_was_watched_is_cut_all_the_same(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        session, _ = await sign_in(manager, await world.add_user())
        await manager.end(session, EndReason.REVOKED)
        stream = Stream()
        manager.watch(session, stream.cut)
        await eventually(lambda: stream.cuts == 1)

    play(tmp_path, story)


def test_a_watched_session_outlives_its_step_up_and_is_cut_under_its_new_id_anywhere(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(), await world.process()
        half, cookie = await sign_in(one, await world.add_user(name="two factors"))
        seen = await other.load(cookie, START)
        assert isinstance(seen, Session)
        streams = [Stream(), Stream()]
        one.watch(half, streams[0].cut)
        other.watch(seen, streams[1].cut)
        full, _ = await one.step_up(half, method="otp", second_factor=True)
        await eventually(lambda: other.peek(cookie, START) is None)
        assert await ask(other, cookie, START + 10) is EndReason.REPLACED
        await asyncio.sleep(0.1)
        assert [stream.cuts for stream in streams] == [0, 0]
        await one.end(full, EndReason.SIGNED_OUT)
        await eventually(lambda: [stream.cuts for stream in streams] == [1, 1])

    play(tmp_path, story)


def test_who_stopped_watching_hears_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, _ = await sign_in(manager, await world.add_user())
        gone, stays = Stream(), Stream()
        stop = manager.watch(session, gone.cut)
        other = manager.watch(session, stays.cut)
        stop()
        stop()
        await manager.end(session, EndReason.SIGNED_OUT)
        assert (gone.cuts, stays.cuts) == (0, 1)
        other()
        assert manager._watchers.keys() == [] and manager._watchers._users == {}

    play(tmp_path, story)


def test_a_watcher_that_fails_is_reported_and_keeps_no_other_from_being_cut(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, _ = await sign_in(manager, await world.add_user())
        stream = Stream()
        manager.watch(session, lambda: [].pop())
        manager.watch(session, stream.cut)
        await manager.end(session, EndReason.SIGNED_OUT)
        assert stream.cuts == 1
        assert [type(error) for error in world.errors] == [IndexError]
        world.errors.clear()

    play(tmp_path, story)
