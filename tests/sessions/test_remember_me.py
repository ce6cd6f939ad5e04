"""A remembered session: 48 hours from its last use, 30 days in all, to the second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import EndReason, Session
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.storage.tables import sessions, users
from tests.sessions.support import NEVER, START, TIMEOUTS, World, ask, eventually, play, sign_in

HOUR = 3_600.0
DAY = 24 * HOUR


async def use(manager: SessionManager, cookie: bytes, now: float) -> Session:
    """One page view, as the gate treats it, and the renewal that may follow from it."""
    found = await ask(manager, cookie, now)
    assert isinstance(found, Session), found
    manager.touch(found, now)
    await manager._renewer.flush()
    return found


async def renewed_at(world: World) -> float:
    async with (await world.database()).read() as conn:
        return float((await conn.execute(sa.select(sessions.c.renewed_at))).scalar_one())


def test_it_lives_48_hours_without_any_use_and_not_a_second_longer(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        last = START + 48 * HOUR - 0.001
        assert isinstance(manager.peek(cookie, last), Session)  # from the cache: no idle timeout there either
        assert isinstance(await manager.load(cookie, last), Session)
        assert manager.peek(cookie, START + 48 * HOUR) is None
        assert await manager.load(cookie, START + 48 * HOUR) is EndReason.IDLE
        assert await ask(manager, cookie, START + 1) is EndReason.IDLE

    play(tmp_path, story)


def test_use_renews_it_after_five_minutes_and_not_before(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        await use(manager, cookie, START + 299.999)
        assert await renewed_at(world) == 0.0
        await use(manager, cookie, START + 300)
        assert await renewed_at(world) == START + 300
        await use(manager, cookie, START + 599.999)
        assert await renewed_at(world) == START + 300
        await use(manager, cookie, START + 600)
        assert isinstance(await ask(manager, cookie, START + 600 + 48 * HOUR - 0.001), Session)
        assert await ask(manager, cookie, START + 600 + 48 * HOUR) is EndReason.IDLE

    play(tmp_path, story)


def test_the_renewal_happens_by_itself_behind_the_request(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        manager.touch(session, START + 400)
        await eventually(lambda: manager.peek(cookie, START + 400) is None)  # to be read afresh
        found = await manager.load(cookie, START + 400)
        assert isinstance(found, Session) and found.record.renewed_at == START + 400
        assert await renewed_at(world) == START + 400

    play(tmp_path, story)


def test_use_in_the_last_moment_counts_before_it_is_written_down(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(running=False)
        session, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        manager.touch(session, START + 48 * HOUR - 1)
        assert isinstance(await ask(manager, cookie, START + 48 * HOUR), Session)

    play(tmp_path, story)


def test_no_use_keeps_it_beyond_30_days_after_sign_in(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER, monotonic=lambda: 0.0)
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        for day in range(1, 30):
            await use(manager, cookie, START + day * DAY)
        await use(manager, cookie, START + 30 * DAY - 0.001)
        assert await ask(manager, cookie, START + 30 * DAY) is EndReason.ABSOLUTE

    play(tmp_path, story)


def test_a_websocket_with_an_old_view_of_the_session_neither_floods_nor_revives(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(running=False)
        held, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        manager.touch(held, START + 400)
        await manager._renewer.flush()
        for second in range(401, 699):
            manager.touch(held, START + second)
        assert manager._renewals.take() == {}
        manager._renewals.done()
        dead = START + 400 + 48 * HOUR
        manager.touch(held, dead)
        assert await ask(manager, cookie, dead) is EndReason.IDLE
        await manager._renewer.flush()
        assert await ask(manager, cookie, dead) is EndReason.IDLE
        assert await renewed_at(world) == START + 400

    play(tmp_path, story)


def test_another_process_sees_the_renewal_and_does_not_repeat_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, two = await world.process(), await world.process()
        _, cookie = await sign_in(one, await world.add_user(), remembered=True)
        stale = await ask(two, cookie, START)
        assert isinstance(stale, Session)
        await use(one, cookie, START + 400)
        two.touch(stale, START + 500)
        await two._renewer.flush()
        assert await renewed_at(world) == START + 400
        assert isinstance(await ask(two, cookie, START + 48 * HOUR + 399), Session)

    play(tmp_path, story)


def test_a_renewal_notices_that_the_password_has_expired_and_ends_the_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        def expires(record: Any, _user: Any) -> str:
            """As the policy has it: judged at the first factor, or at the last renewal."""
            return "new_password" if max(record.first_factor_at, record.renewed_at) >= START + DAY else ""

        manager = await world.process(next_step=expires)
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        await use(manager, cookie, START + DAY - 1)
        assert isinstance(await ask(manager, cookie, START + DAY), Session)  # nobody used it since
        assert (await use(manager, cookie, START + DAY + 300)).complete
        assert await ask(manager, cookie, START + DAY + 301) is EndReason.ABSOLUTE
        assert (await renewed_at(world)) == START + DAY - 1

    play(tmp_path, story)


@pytest.mark.parametrize("change", ["disabled", "deleted", "epoch"])
def test_a_renewal_notices_an_account_that_is_gone_although_nobody_announced_it(
    tmp_path: Path, change: str
) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        async with (await world.database()).begin() as conn:
            await conn.execute(
                {
                    "disabled": sa.update(users).values(disabled=True),
                    "deleted": sa.delete(users),
                    "epoch": sa.update(users).values(session_epoch=7),
                }[change]
            )
        await use(manager, cookie, START + 400)
        assert await ask(manager, cookie, START + 400) is EndReason.REVOKED
        assert await renewed_at(world) == 0.0

    play(tmp_path, story)


def test_a_half_finished_sign_in_is_not_renewed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        half, cookie = await sign_in(manager, await world.add_user(name="two factors"), remembered=True)
        manager.touch(half, START + 400)
        await manager._renewer.flush()
        assert await renewed_at(world) == 0.0
        assert isinstance(await ask(manager, cookie, START + 599.999), Session)
        assert await ask(manager, cookie, START + 600) is EndReason.UNFINISHED

    play(tmp_path, story)


def test_a_renewal_does_not_end_a_session_that_a_step_is_asked_of_in_the_mean_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        async with (await world.database()).begin() as conn:
            await conn.execute(sa.update(users).values(name="two factors"))
        await use(manager, cookie, START + 400)
        found = await ask(manager, cookie, START + 400)
        assert isinstance(found, Session) and found.step == "totp"
        assert await renewed_at(world) == 0.0

    play(tmp_path, story)


def test_the_second_factor_goes_on_with_what_was_remembered(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        half, _ = await sign_in(manager, await world.add_user(name="two factors"), remembered=True)
        full, cookie = await manager.step_up(half, method="otp", second_factor=True)
        assert full.record.remembered
        assert isinstance(await ask(manager, cookie.encode(), START + 48 * HOUR - 1), Session)

    play(tmp_path, story)


class Outage:
    """A store that renews only when it is told to."""

    def __init__(self, store: Any) -> None:
        self.down = True
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def renew(self, *arguments: Any) -> None:
        if self.down:
            raise StoreUnavailable("down")
        await self._store.renew(*arguments)


def test_a_renewal_waits_for_the_store_and_counts_from_the_use(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(running=False, wrap=Outage)
        store: Any = manager._store
        session, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        manager.touch(session, START + 400)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await manager._renewer.flush()
        found = await ask(manager, cookie, START + 400 + 48 * HOUR - 1)
        assert isinstance(found, Session)
        store.down = False
        await manager._renewer.flush()
        assert await renewed_at(world) == START + 400

    play(tmp_path, story)


def test_a_clock_set_back_revives_no_remembered_session(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        await manager._upkeep.clean(START + 49 * HOUR)
        assert await ask(await world.process(), cookie, START + 10) is EndReason.IDLE

    play(tmp_path, story)


def test_a_clock_set_back_revives_nothing_after_30_days(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process(interval=NEVER, monotonic=lambda: 0.0)
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        for day in range(1, 30):
            await use(manager, cookie, START + day * DAY)
        await manager._upkeep.clean(START + 30 * DAY)
        assert await ask(await world.process(), cookie, START + 10) is EndReason.ABSOLUTE

    play(tmp_path, story)


def test_cleaning_leaves_what_is_alive_and_forgets_what_is_long_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        manager = await world.process()
        _, cookie = await sign_in(manager, await world.add_user(), remembered=True)
        await manager._upkeep.clean(START + 48 * HOUR - 1)
        assert isinstance(await ask(manager, cookie, START + 48 * HOUR - 1), Session)
        await manager._upkeep.clean(START + 4 * DAY)
        await manager._upkeep.clean(START + 6 * DAY)
        assert await ask(manager, cookie, START + 6 * DAY) is EndReason.UNKNOWN

    play(tmp_path, story)


def test_where_nothing_is_remembered_no_session_is_and_those_from_before_are_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        user = await world.add_user()
        _, before = await sign_in(await world.process(), user, remembered=True)
        manager = await world.process(timeouts=TIMEOUTS._replace(remember=0.0))
        assert await ask(manager, before, START + 1) is EndReason.IDLE
        session, cookie = await sign_in(manager, user, remembered=True)
        assert not session.record.remembered
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE

    play(tmp_path, story)


def test_activity_after_the_idle_deadline_is_none(tmp_path: Path) -> None:
    """A WebSocket's frame may come in before anybody asked whether its session is over."""

    async def story(world: World) -> None:
        manager = await world.process()
        session, cookie = await sign_in(manager, await world.add_user())
        manager.touch(session, START + 900)
        assert await ask(manager, cookie, START + 900) is EndReason.IDLE

    play(tmp_path, story)
