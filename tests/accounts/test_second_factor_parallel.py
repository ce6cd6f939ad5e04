"""One code, fifty posts at the same moment, several processes: it opens once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from gatekeeper.accounts.errors import InvalidCode
from gatekeeper.accounts.second_factor import SecondFactors
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.support import World, tell
from tests.factors.support import factors, set_up
from tests.servers.databases import make_database

pytestmark = pytest.mark.databases

POSTS, PROCESSES = 50, 5


async def outcome(second: SecondFactors, user: UserRecord, code: str) -> str:
    for _ in range(20):
        try:
            return await second.verify(user, code, device=None)
        except InvalidCode:
            return "refused"
        except StoreUnavailable:
            continue  # one row, and whoever waits for it longer than a statement may is asked to try again
    raise AssertionError("never answered")


async def all_at_once(world: World, folder: Path, user: UserRecord, codes: list[str]) -> list[str]:
    """Post all codes in parallel, each on the connections of one of several processes."""
    async with contextlib.AsyncExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            db = make_database(folder)
            await db.open()
            stack.push_async_callback(db.close)
            processes.append(factors(world, db=db))
        return await asyncio.gather(
            *(outcome(processes[place % PROCESSES], user, code) for place, code in enumerate(codes))
        )


@pytest.mark.parametrize("method", ["otp", "recovery"])
def test_fifty_posts_of_one_code_succeed_once(tmp_path: Path, method: str) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, codes = await set_up(world, second, pat)
        code = app.code if method == "otp" else codes[7]
        answers = await all_at_once(world, tmp_path, pat, [code] * POSTS)
        assert sorted(answers) == [method] + ["refused"] * (POSTS - 1)
        assert await second.recovery_codes_left(pat.id) == (10 if method == "otp" else 9)

    tell(tmp_path, story)


def test_of_fifty_guesses_at_once_five_are_looked_at(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        answers = await all_at_once(world, tmp_path, pat, [app.wrong] * POSTS)
        assert answers == ["refused"] * POSTS
        reasons = [
            row["details"]["reason"]
            for row in await world.rows(tables.audit_events)
            if row["kind"] == "sign_in.failed"
        ]
        assert sorted(reasons) == ["locked"] * (POSTS - 5) + ["wrong"] * 5

    tell(tmp_path, story)
