"""A session's life as the gate sees it, to the second."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import EndReason, Session, SessionRecord
from gatekeeper.sessions import reader
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.storage.revocations import revoke_user, user_changed
from gatekeeper.storage.tables import sessions, users
from tests.sessions.support import NEVER, START, TIMEOUTS, World, ask, play, sign_in


def test_a_started_session_is_answered_from_the_cache_with_its_headers(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        found = manager.peek(cookie, START + 1)
        assert found == session and isinstance(found, Session) and found.complete
        assert found.headers == ((b"remote-user", b"pat"), (b"remote-name", b"Pat"))
        assert found.user.roles == ("clerk",) and found.record.client == "192.0.2.1"
        assert await manager.load(cookie, START + 1) == found

    play(tmp_path, story)


@pytest.mark.sqlite
def test_neither_the_id_nor_the_cookie_is_in_the_store(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(random_bytes=lambda size: b"\x42" * size)
        _, cookie = await sign_in(manager, await world.add_user())
        await manager.close()
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"\x42" * 32 not in content and cookie not in content and cookie[:43] not in content
        await manager.open()

    play(tmp_path, story)


def test_a_cookie_that_nobody_signed_never_reaches_the_store(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        await manager.close()
        assert await manager.load(b"A" * 43 + b"." + b"A" * 43, START) is EndReason.UNKNOWN
        await manager.open()

    play(tmp_path, story)


def test_idle_is_exact_to_the_second_and_activity_moves_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        moved = START + 899.999
        assert isinstance(await ask(manager, cookie, moved), Session)
        manager.touch(session, moved)
        found = manager.peek(cookie, moved + 899.999)
        assert isinstance(found, Session) and found.record.last_seen_at == moved
        assert await ask(manager, cookie, moved + 900) is EndReason.IDLE
        assert await ask(manager, cookie, moved + 901) is EndReason.IDLE

    play(tmp_path, story)


def test_a_request_that_is_no_activity_does_not_keep_a_session_alive(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user())
        for second in range(0, 900, 30):
            assert isinstance(await ask(manager, cookie, START + second), Session)
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE

    play(tmp_path, story)


def test_the_absolute_timeout_ends_also_who_is_active(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        for second in range(0, int(TIMEOUTS.absolute), 600):
            manager.touch(session, START + second)
        assert isinstance(await ask(manager, cookie, START + TIMEOUTS.absolute - 0.001), Session)
        assert await ask(manager, cookie, START + TIMEOUTS.absolute) is EndReason.ABSOLUTE

    play(tmp_path, story)


def test_a_half_finished_sign_in_ends_after_its_own_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user(name="two factors"))
        assert session.step == "totp" and not session.complete
        manager.touch(session, START + 599)
        assert isinstance(await ask(manager, cookie, START + 599.999), Session)
        assert await ask(manager, cookie, START + 600) is EndReason.UNFINISHED

    play(tmp_path, story)


@pytest.mark.parametrize("through", ["cache", "store"])
def test_a_clock_set_back_revives_nothing(tmp_path: Path, through: str) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user())
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE
        if through == "store":
            manager = await world.process()
        assert await ask(manager, cookie, START + 1) is EndReason.IDLE

    play(tmp_path, story)


def test_a_clock_set_back_revives_nothing_that_nobody_had_asked_about(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user())
        world.clock.now = START + 1_000
        await manager._upkeep.clean(world.clock())
        restarted = await world.process()
        assert await ask(restarted, cookie, START + 10) is EndReason.IDLE

    play(tmp_path, story)


def test_why_a_session_ended_is_known_for_a_day(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user()
        _, idle = await sign_in(manager, user)
        out, signed_out = await sign_in(manager, user)
        await manager.end(out, EndReason.SIGNED_OUT)
        day = 86_400.0
        await manager._upkeep.clean(START + day)
        assert await ask(manager, idle, START + day) is EndReason.ABSOLUTE
        assert await ask(manager, signed_out, START + day) is EndReason.SIGNED_OUT
        await manager._upkeep.clean(START + 3 * day)
        assert await ask(manager, idle, START + 3 * day) is EndReason.UNKNOWN
        assert await ask(manager, signed_out, START + 3 * day) is EndReason.UNKNOWN

    play(tmp_path, story)


def test_sign_out_counts_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        assert await manager.end(session, EndReason.SIGNED_OUT)
        assert manager.peek(cookie, START) is None
        assert await manager.load(cookie, START) is EndReason.SIGNED_OUT
        assert not await manager.end(session, EndReason.SIGNED_OUT)

    play(tmp_path, story)


def test_a_step_up_changes_the_id_and_the_old_one_keeps_its_level_for_ten_seconds(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        half, old = await sign_in(manager, await world.add_user(name="two factors"))
        world.clock.now = START + 100
        full, cookie = await manager.step_up(half, method="otp", second_factor=True)
        new = cookie.encode()
        assert new != old and full.complete and full.record.methods == "pwd otp"
        assert full.record.created_at == START and full.record.second_factor_at == START + 100
        before = await ask(manager, old, START + 109.999)
        assert isinstance(before, Session) and before.step == "totp"
        assert await ask(manager, old, START + 110) is EndReason.REPLACED
        assert await ask(manager, old, START + 105) is EndReason.REPLACED
        after = await ask(manager, new, START + 600)
        assert isinstance(after, Session) and after.complete

    play(tmp_path, story)


def test_an_old_id_cannot_step_up_again_and_dies_with_the_new_one(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        half, old = await sign_in(manager, await world.add_user(name="two factors"))
        full, new = await manager.step_up(half, method="otp", second_factor=True)
        with pytest.raises(SessionOver) as caught:
            await manager.step_up(half, method="otp", second_factor=True)
        assert caught.value.ended is EndReason.REPLACED
        assert isinstance(await ask(manager, old, START + 1), Session)
        await manager.end(full, EndReason.SIGNED_OUT)
        assert await ask(manager, old, START + 1) is EndReason.SIGNED_OUT
        assert await ask(manager, new.encode(), START + 1) is EndReason.SIGNED_OUT
        with pytest.raises(SessionOver) as caught:
            await manager.step_up(full, method="otp", second_factor=True)
        assert caught.value.ended is EndReason.SIGNED_OUT

    play(tmp_path, story)


def test_sign_out_everywhere_keeps_the_session_that_asked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user()
        here, cookie_here = await sign_in(manager, user)
        _, cookie_there = await sign_in(manager, user)
        assert await manager.end_user(user, EndReason.REVOKED, keep=here.record.key) == 1
        assert isinstance(await ask(manager, cookie_here, START), Session)
        assert await ask(manager, cookie_there, START) is EndReason.REVOKED
        _, again = await sign_in(manager, user)
        assert isinstance(await ask(manager, again, START), Session)

    play(tmp_path, story)


def test_a_session_brought_back_by_a_copy_of_the_store_is_revoked_by_the_epoch(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        user = await world.add_user()
        _, cookie = await sign_in(manager, user)
        await manager.end_user(user, EndReason.REVOKED)
        async with (await world.database()).begin() as conn:
            await conn.execute(sa.update(sessions).values(ended_at=None, ended_reason=None))
        assert await ask(manager, cookie, START) is EndReason.REVOKED

    play(tmp_path, story)


@pytest.mark.parametrize("change", ["disabled", "deleted"])
def test_an_account_that_is_gone_has_no_sessions_and_gets_none(tmp_path: Path, change: str) -> None:
    async def story(world: World) -> None:
        db = await world.database()
        manager = await world.process()
        user = await world.add_user()
        session, cookie = await sign_in(manager, user)
        async with db.begin() as conn:
            if change == "disabled":
                await conn.execute(sa.update(users).values(disabled=True))
            else:
                await conn.execute(sa.delete(users))
        assert await manager.load(cookie, START) is EndReason.REVOKED
        with pytest.raises(SessionOver):
            await sign_in(manager, user)
        with pytest.raises(SessionOver):
            await manager.step_up(session, method="otp", second_factor=True)

    play(tmp_path, story)


def test_another_service_of_the_process_revokes_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER)
        db = manager._store._db  # type: ignore[attr-defined]
        user = await world.add_user()
        _, cookie = await sign_in(manager, user)
        async with db.begin() as conn:
            await conn.execute(sa.update(users).values(name="Pat Q. Example"))
            await user_changed(conn, user, START)
        assert manager.peek(cookie, START) is None
        renamed = await manager.load(cookie, START)
        assert isinstance(renamed, Session) and renamed.user.name == "Pat Q. Example"
        async with db.begin() as conn:
            await revoke_user(conn, user, START)
        assert manager.peek(cookie, START) is None
        assert await manager.load(cookie, START) is EndReason.REVOKED

    play(tmp_path, story)


def test_a_store_that_cannot_be_read_is_never_a_pass(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(running=False)
        await manager.open()
        _, cookie = await sign_in(manager, await world.add_user())
        await manager.close()
        await manager._store._db.close()  # type: ignore[attr-defined]
        assert manager.peek(cookie, START) is None
        with pytest.raises(StoreUnavailable):
            await manager.load(cookie, START)
        assert not manager.healthy(START)

    play(tmp_path, story)


def test_the_list_shows_who_is_alive_with_their_latest_activity(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        pat, kim = await world.add_user("pat"), await world.add_user("kim")
        first, _ = await sign_in(manager, pat)
        world.clock.now = START + 500
        second, _ = await sign_in(manager, kim)
        manager.touch(first, START + 600)
        assert [entry.key for entry in await manager.list()] == [first.record.key, second.record.key]
        assert [entry.last_seen_at for entry in await manager.list(pat)] == [START + 600]
        world.clock.now = START + 1_400
        assert [entry.key for entry in await manager.list()] == [first.record.key]

    play(tmp_path, story)


def test_what_comes_from_the_browser_is_stored_within_bounds(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, _ = await manager.start(
            await world.add_user(),
            methods="fed",
            remembered=True,
            client="c" * 999,
            user_agent="u" * 9_999,
            second_factor_at=START + 60,
        )
        assert len(session.record.client) == 100 and len(session.record.user_agent) == 300
        assert session.record.second_factor_at == START, (
            "not in the future, whatever somebody else's clock says"
        )
        assert session.record.remembered

    play(tmp_path, story)


def test_a_store_that_does_not_answer_is_not_waited_for_longer_than_a_person_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool without a free connection waits, and so does making a new one: all of it together has an end."""
    monkeypatch.setattr(reader, "ANSWER", 0.05)

    class Frozen(SqlSessionStore):
        async def get(self, key: bytes) -> SessionRecord | EndReason:
            await asyncio.Event().wait()
            raise AssertionError

    async def story(world: World) -> None:
        user = await world.add_user()
        _, cookie = await sign_in(await world.process(), user)
        frozen = await world.process(wrap=lambda store: Frozen(store._db))
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            async with asyncio.timeout(5):
                await frozen.load(cookie, START)

    play(tmp_path, story)
