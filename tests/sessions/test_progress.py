"""A session on its way through the steps: ids, skipped steps, fresh reads, and what lists show of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.core.session import EndReason, Session
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.storage.tables import users
from tests.sessions.support import NEVER, START, World, ask, play, sign_in


def test_a_new_id_alone_proves_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        half, old = await sign_in(manager, await world.add_user(name="two factors"))
        world.clock.now = START + 5
        same, cookie = await manager.step_up(half)
        assert cookie.encode() != old and same.step == "totp"
        assert same.record.methods == "pwd" and same.record.second_factor_at == 0.0
        trusted, _ = await manager.step_up(same, method="trusted")
        assert trusted.record.methods == "pwd trusted" and trusted.record.second_factor_at == 0.0
        full, _ = await manager.step_up(trusted, method="otp", second_factor=True)
        world.clock.now = START + 50
        changed, _ = await manager.step_up(full)
        assert changed.complete and changed.record.second_factor_at == START + 5

    play(tmp_path, story)


def test_a_password_change_keeps_the_session_that_made_it_also_under_its_new_id(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user()
        session, _ = await sign_in(manager, user)
        await manager.end_user(user, EndReason.REVOKED, keep=session.record.key)
        _, cookie = await manager.step_up(session)  # `session` was read before the epoch moved on
        assert isinstance(await manager.load(cookie.encode(), START), Session)

    play(tmp_path, story)


def test_a_sign_in_that_took_too_long_cannot_be_finished(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user(name="two factors")
        half, _ = await sign_in(manager, user)
        world.clock.now = START + 599.9
        just, _ = await manager.step_up(half)
        world.clock.now = START + 600
        for late in (manager.step_up(just, method="otp", second_factor=True), manager.skip(just, "totp")):
            with pytest.raises(SessionOver) as caught:
                await late
            assert caught.value.ended is EndReason.UNFINISHED

    play(tmp_path, story)


def test_a_second_factor_set_up_hours_after_sign_in_is_recorded_in_that_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        session, _ = await sign_in(manager, await world.add_user())
        manager.touch(session, START + 890)
        world.clock.now = START + 1_700
        async with (await world.database()).begin() as conn:
            await conn.execute(sa.update(users).values(name="two factors"))
        full, _ = await manager.step_up(session, method="otp", second_factor=True)
        assert full.complete and full.record.methods == "pwd otp"

    play(tmp_path, story)


def test_a_skipped_step_is_noted_once_in_every_process_and_survives_a_new_id(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager, other = await world.process(), await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        assert isinstance(await ask(other, cookie, START), Session)
        assert (await manager.skip(session, "new_password")).record.skipped == "new_password"
        assert (await manager.skip(session, "new_password")).record.skipped == "new_password"
        assert (await manager.skip(session, "welcome")).record.skipped == "new_password welcome"
        found = await ask(manager, cookie, START)
        assert isinstance(found, Session) and found.record.skipped == "new_password welcome"
        renewed, _ = await manager.step_up(session)
        assert renewed.record.skipped == "new_password welcome"
        with pytest.raises(SessionOver):
            await manager.skip(session, "late")
        with pytest.raises(ValueError, match="one word"):
            await manager.skip(renewed, "two words")

    play(tmp_path, story)


def test_refresh_sees_at_once_what_changed_elsewhere(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        session, cookie = await sign_in(manager, await world.add_user())
        async with (await world.database()).begin() as conn:
            await conn.execute(sa.update(users).values(name="two factors"))
        assert (await manager.refresh(session)).step == "totp"
        found = await ask(manager, cookie, START)
        assert isinstance(found, Session) and found.step == "totp"
        await manager.end(session, EndReason.SIGNED_OUT)
        with pytest.raises(SessionOver) as caught:
            await manager.refresh(session)
        assert caught.value.ended is EndReason.SIGNED_OUT

    play(tmp_path, story)


def test_nobody_is_listed_as_signed_in_before_the_last_step(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        pat, kim = await world.add_user("pat"), await world.add_user("kim", "two factors")
        whole, _ = await sign_in(manager, pat)
        half, _ = await sign_in(manager, kim)
        assert [entry.key for entry in await manager.list()] == [whole.record.key]
        assert await manager.list(kim) == []
        full, _ = await manager.step_up(half, method="otp", second_factor=True)
        assert [entry.key for entry in await manager.list(kim)] == [full.record.key]

    play(tmp_path, story)


def test_one_ends_a_session_of_ones_own_list_and_never_of_another(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        pat, kim = await world.add_user("pat"), await world.add_user("kim")
        here, cookie_here = await sign_in(manager, pat)
        there, cookie_there = await sign_in(manager, pat)
        assert len({entry.public_id for entry in await manager.list(pat)}) == 2
        assert not await manager.end_listed(kim, there.record.public_id, EndReason.SIGNED_OUT)
        assert not await manager.end_listed(pat, "", EndReason.SIGNED_OUT)
        assert await manager.end_listed(pat, there.record.public_id, EndReason.SIGNED_OUT)
        assert await ask(manager, cookie_there, START) is EndReason.SIGNED_OUT
        assert isinstance(await ask(manager, cookie_here, START), Session)
        assert [entry.key for entry in await manager.list(pat)] == [here.record.key]

    play(tmp_path, story)
