"""Kept forms of several nodes on one database: no more are kept than is promised, and each is taken once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.kept_forms import IN_ALL, LIFETIME, PER_USER, PURPOSE, KeptForms
from gatekeeper.core.protocols import PostedForm
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.support import BY, SECRET, World, world

pytestmark = pytest.mark.databases

BROWSER = base64.urlsafe_b64encode(b"b" * 32).rstrip(b"=").decode()
MOST = 1_000
FORM = PostedForm("app.example.com", b"/orders", b"application/x-www-form-urlencoded", b"a=1")

Story = Callable[[list[World], list[KeptForms]], Awaitable[None]]


@contextlib.asynccontextmanager
async def nodes(folder: Path) -> AsyncIterator[tuple[list[World], list[KeptForms]]]:
    async with world(folder) as one, world(folder) as other:
        yield [one, other], [keeper(one), keeper(other)]


def keeper(w: World) -> KeptForms:
    async def never(_cookie: bytes) -> None:
        return None

    return KeptForms(
        w.db,
        SecretBox([SECRET], PURPOSE),
        w.audit,
        lambda: w.now,
        ended=never,
        on_error=lambda _error: None,
        most=MOST,
    )


def tell(folder: Path, story: Story) -> None:
    async def told() -> None:
        async with nodes(folder) as (worlds, keepers):
            await story(worlds, keepers)

    asyncio.run(told())


async def keep(kept: KeptForms, user: UserRecord, form: PostedForm = FORM) -> str | None:
    return await kept.keep(user.id, form, BROWSER, client="192.0.2.7", request_id="r")


async def take(kept: KeptForms, key: str, user: UserRecord) -> PostedForm | None:
    return await kept.take(key, user, BROWSER, client="192.0.2.7", request_id="r")


async def count(w: World) -> int:
    async with w.db.read() as conn:
        return int(await conn.scalar(sa.select(sa.func.count()).select_from(tables.kept_forms)) or 0)


def test_fifty_who_take_one_form_on_two_nodes_get_it_once(tmp_path: Path) -> None:
    async def story(worlds: list[World], keepers: list[KeptForms]) -> None:
        pat = await worlds[0].pat()
        assert await keep(keepers[0], pat) == BROWSER
        [summary] = await keepers[1].list(pat.id, BROWSER)
        got = await asyncio.gather(*(take(keepers[number % 2], summary.key, pat) for number in range(50)))
        assert [form for form in got if form is not None] == [FORM]
        assert await count(worlds[0]) == 0

    tell(tmp_path, story)


def test_as_many_are_kept_for_a_user_as_promised_whichever_node_is_asked(tmp_path: Path) -> None:
    async def story(worlds: list[World], keepers: list[KeptForms]) -> None:
        pat = await worlds[0].pat()
        for _ in range(5):
            await asyncio.gather(*(keep(kept, pat) for kept in keepers * 3))
            assert await count(worlds[0]) <= PER_USER
        assert await count(worlds[0]) == PER_USER

    tell(tmp_path, story)


def test_as_many_fit_in_all_as_promised_whichever_node_is_asked(tmp_path: Path) -> None:
    async def story(worlds: list[World], keepers: list[KeptForms]) -> None:
        large = FORM._replace(body=b"a" * MOST)
        people = [
            await worlds[0].users.add(f"p{number}", name="", email="", roles=[], password=None, by=BY)
            for number in range(IN_ALL + 4)
        ]
        for user in people[: IN_ALL - 1]:
            await keep(keepers[0], user, large)
        assert await count(worlds[0]) == IN_ALL - 1
        kept = await asyncio.gather(
            *(keep(keepers[at % 2], user, large) for at, user in enumerate(people[IN_ALL - 1 :]))
        )
        assert kept.count(BROWSER) == 1
        assert await count(worlds[0]) == IN_ALL

    tell(tmp_path, story)


def test_keeping_taking_cleaning_and_deleting_the_account_never_wait_in_a_circle(tmp_path: Path) -> None:
    async def story(worlds: list[World], keepers: list[KeptForms]) -> None:
        for round_ in range(6):
            user = await worlds[0].users.add(f"p{round_}", name="", email="", roles=[], password=None, by=BY)
            for _ in range(PER_USER):
                await keep(keepers[0], user)
            for w in worlds:
                w.now += LIFETIME - 1 if round_ % 2 else LIFETIME
            [*listed] = await keepers[0].list(user.id, BROWSER)
            await asyncio.gather(
                *(keep(kept, user) for kept in keepers * 2),
                *(take(keepers[1], each.key, user) for each in listed),
                *(kept.clean() for kept in keepers),
                keepers[1].list(user.id + 1, BROWSER),
                worlds[1].users.delete(user.id, by=BY),
            )
            assert await count(worlds[0]) == 0

    tell(tmp_path, story)
