"""Two nodes on one database: limits and locks are counted together, and nobody waits in a circle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.audit.events import Source
from gatekeeper.core.errors import RateLimited
from gatekeeper.storage import tables
from tests.accounts.password_support import Ways
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, SECRET, World, tell, world

pytestmark = pytest.mark.databases


@contextlib.asynccontextmanager
async def nodes(folder: Path) -> AsyncIterator[list[World]]:
    async with world(folder) as one, world(folder) as other:
        yield [one, other]


def tell_nodes(folder: Path, story: Any) -> None:
    async def told() -> None:
        async with nodes(folder) as made:
            await story(made)

    asyncio.run(told())


async def outcome(work: Coroutine[Any, Any, Any]) -> str:
    try:
        await work
    except (AccountError, InvalidCredentials, RateLimited) as error:
        return error.reason
    return "done"


def test_a_limit_for_everybody_holds_across_nodes_to_the_attempt(tmp_path: Path) -> None:
    async def story(made: list[World]) -> None:
        limits = {Attempt.PASSWORD: Limits(None, None, Rate(40, 60.0))}
        each = [Rates(node.audit, lambda: 1.0, secret=SECRET, limits=limits) for node in made]

        async def take(number: int) -> None:
            async with made[number % 2].db.begin() as conn:
                await each[number % 2].take(
                    conn, Attempt.PASSWORD, account=f"a{number}", client=f"192.0.2.{number}"
                )

        answers = await asyncio.gather(*(outcome(take(number)) for number in range(120)))
        assert answers.count("done") == 40 and answers.count("rate_limited") == 80

    tell_nodes(tmp_path, story)


def test_wrong_passwords_on_two_nodes_lock_once_after_five(tmp_path: Path) -> None:
    async def story(made: list[World]) -> None:
        await made[0].pat(email=LOGIN)
        answers = await asyncio.gather(
            *(outcome(made[number % 2].sign_in.password(LOGIN, f"wrong {number}")) for number in range(40))
        )
        assert "done" not in answers
        assert sum(len(node.hasher.verified) for node in made) == 40, "the dummy counts, too"
        (row,) = await made[0].rows(tables.users)
        assert row["failures"] == 5 and row["locked_at"] is not None and row["pending"] == 0
        assert (await made[0].kinds()).count("account.locked") == 1
        assert len(await made[0].mails("locked")) == 1

    tell_nodes(tmp_path, story)


def test_links_that_are_asked_for_at_once_leave_one_that_works(tmp_path: Path) -> None:
    async def story(made: list[World]) -> None:
        pat = await made[0].pat(email=LOGIN)
        ways = [Ways(node) for node in made]
        await asyncio.gather(*(ways[number % 2].recovery.request(LOGIN) for number in range(16)))
        issued = [row for row in await made[0].rows(tables.tokens) if row["user_id"] == pat.id]
        assert len(issued) == 1
        assert len(await made[0].mails("recovery")) == 1

        links = await asyncio.gather(*(node.link.issue() for node in made * 4))
        good = [link for link in links if link is not None and await made[0].link.valid(link)]
        assert len(good) == 1

    tell_nodes(tmp_path, story)


def test_everything_at_once_about_one_account_ends_without_a_circle_of_waiting(tmp_path: Path) -> None:
    async def story(made: list[World]) -> None:
        pat = await made[0].pat(email=LOGIN)
        ways = [Ways(node) for node in made]
        device = await made[0].complete(pat)
        for round_ in range(4):
            await ways[0].recovery.request(LOGIN)
            (mail,) = await made[0].mails("recovery")
            token = mail["link"].partition("token=")[2]
            new = f"{OTHER_PASSWORD} {round_}"
            await asyncio.gather(
                outcome(ways[0].recovery.reset(token, new)),
                outcome(ways[1].recovery.reset(token, new + "!")),
                outcome(made[1].users.set_password(pat.id, new + "?", by=BY)),
                outcome(made[0].sign_in.password(LOGIN, PASSWORD, device=device)),
                outcome(made[1].sign_in.password(LOGIN, PASSWORD)),
                outcome(made[1].sign_in.password(LOGIN, "wrong", device=device)),
                outcome(made[0].users.set_roles(pat.id, [f"r{round_}"], by=BY)),
                outcome(made[1].complete(pat, device)),
                outcome(ways[1].recovery.request(LOGIN)),
            )
            for node in made:
                async with node.db.begin() as conn:
                    await node.lockout.unlock(conn, pat.id, Source("test"))
        # Whatever came first, the newest password is one of those, and no link to another one is left over.
        async with made[0].db.read() as conn:
            assert await conn.scalar(sa.select(sa.func.count()).select_from(tables.users)) == 1

    tell_nodes(tmp_path, story)


def test_a_token_is_not_left_over_when_the_account_is_closed_at_that_moment(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(email=LOGIN)
        ways = Ways(w)
        for _ in range(10):
            await asyncio.gather(ways.recovery.request(LOGIN), w.users.set_disabled(pat.id, True, by=BY))
            left = [row for row in await w.rows(tables.tokens) if row["user_id"] == pat.id]
            assert left == []
            await w.users.set_disabled(pat.id, False, by=BY)

    tell(tmp_path, story)
