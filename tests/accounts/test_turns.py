"""Turns: one at a time for each key, others are not held up, and the line is not endless."""

from __future__ import annotations

import asyncio

import pytest

from gatekeeper.accounts.turns import Turns
from gatekeeper.core.errors import Overloaded


def test_one_at_a_time_for_one_key_and_in_order() -> None:
    async def story() -> None:
        turns, seen, inside = Turns(), [], 0

        async def one(number: int) -> None:
            nonlocal inside
            async with turns.take("pat"):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                seen.append(number)
                inside -= 1

        await asyncio.gather(*(one(number) for number in range(20)))
        assert seen == list(range(20))

    asyncio.run(story())


def test_other_keys_do_not_wait() -> None:
    async def story() -> None:
        turns = Turns()
        async with turns.take("pat"), asyncio.timeout(5), turns.take("sam"):
            pass

    asyncio.run(story())


def test_a_full_line_refuses_and_a_cancelled_place_is_free_again() -> None:
    async def story() -> None:
        turns = Turns(most=2)

        async def wait() -> None:
            async with turns.take("pat"):
                pass

        async with turns.take("pat"):
            waiting = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await wait()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            second = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            assert not second.done()
        await second
        assert turns._lines == {}

    asyncio.run(story())
