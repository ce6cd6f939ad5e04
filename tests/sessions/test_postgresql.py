"""How nodes on one PostgreSQL hear of each other, and what they do when they cannot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gatekeeper.core.session import EndReason, Session
from gatekeeper.sessions.channels import make_invalidations
from tests.servers.databases import choose_postgresql, through_proxy
from tests.servers.faults import fault_proxy
from tests.servers.postgres import postgres
from tests.sessions.support import START, World, ask, eventually, play, sign_in


@pytest.fixture(autouse=True)
def on_postgresql(tmp_path: Path) -> None:
    choose_postgresql(tmp_path)


def test_a_revocation_is_heard_at_once_and_not_only_at_the_next_sign_of_life(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, other = await world.process(), await world.process(interval=0.9)
        session, cookie = await sign_in(one, await world.add_user())
        await ask(other, cookie, START)
        await eventually(lambda: other.peek(cookie, START) is not None)
        await one.end(session, EndReason.SIGNED_OUT)
        await eventually(lambda: other.peek(cookie, START) is None, within=0.8)
        assert await other.load(cookie, START) is EndReason.SIGNED_OUT

    play(tmp_path, story)


def test_a_channel_that_breaks_is_opened_again_and_what_was_cached_before_is_dropped(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = await world.process()
        _, cookie = await sign_in(one, await world.add_user())
        before = one._cache.generation
        postgres().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
        )
        await eventually(lambda: one._cache.generation > before, within=10.0)
        await eventually(lambda: one.healthy(START), within=10.0)
        assert isinstance(await ask(one, cookie, START), Session)
        assert len(world.errors) <= 1
        world.errors.clear()

    play(tmp_path, story)


def test_a_node_that_is_cut_off_stops_trusting_what_it_remembers_within_a_second(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = await world.process()
        session, cookie = await sign_in(one, await world.add_user())
        with fault_proxy(postgres().port) as proxy:
            far = through_proxy(tmp_path, proxy.port)
            await far.open()
            world._stack.push_async_callback(far.close)
            channel = make_invalidations(far, on_error=lambda _error: None)
            other = await world.process(invalidations=channel)
            await ask(other, cookie, START)
            await eventually(lambda: other.peek(cookie, START) is not None)
            proxy.stall()
            stalled = time.monotonic()
            await one.end(session, EndReason.REVOKED)
            await eventually(lambda: other.peek(cookie, START) is None, within=5.0)
            assert time.monotonic() - stalled < 1.2
            assert await other.load(cookie, START) is EndReason.REVOKED
            proxy.resume()
            proxy.cut()
            await eventually(lambda: other.healthy(START), within=10.0)

    play(tmp_path, story)
