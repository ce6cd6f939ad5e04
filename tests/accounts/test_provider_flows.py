"""What comes back from an identity provider counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatekeeper.accounts.provider_flows import ProviderFlows
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.core.errors import RateLimited
from gatekeeper.storage import tables
from tests.accounts.support import SECRET, UNLIMITED, World, tell

STATE = "s" * 43


def flows(world: World) -> ProviderFlows:
    """As one of several processes has them."""
    return ProviderFlows(world.db, world.rates, lambda: world.now)


async def use(world: World, state: str = STATE, client: str = "192.0.2.7") -> bool:
    return await flows(world).use(state, provider="microsoft", expires_at=world.now + 600, client=client)


@pytest.mark.databases
def test_of_many_at_once_one_counts(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert sorted(await asyncio.gather(*(use(world) for _ in range(20)))) == [False] * 19 + [True]
        assert await use(world, "another")
        world.now += 599
        assert not await use(world)

    tell(tmp_path, story)


def test_what_is_over_anyway_is_not_kept(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await use(world)
        (row,) = await world.rows(tables.tokens)
        assert STATE not in str(row)
        world.now += 659
        await use(world, "another")
        assert len(await world.rows(tables.tokens)) == 2, "the clock of another node may be behind"
        world.now += 1
        await use(world, "a third")
        assert len(await world.rows(tables.tokens)) == 2

    tell(tmp_path, story)


def test_nobody_makes_us_ask_the_provider_without_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        limits = {**UNLIMITED, Attempt.PROVIDER: Limits(Rate(2, 60.0), None, Rate(3, 60.0))}
        world.use(rates=Rates(world.audit, lambda: world.now, secret=SECRET, limits=limits))
        assert await use(world, "1") and await use(world, "2")
        with pytest.raises(RateLimited):
            await use(world, "3")
        assert await use(world, "3", client="198.51.100.4"), "the state was not used up"
        with pytest.raises(RateLimited):
            await use(world, "4", client="203.0.113.9")

    tell(tmp_path, story)
