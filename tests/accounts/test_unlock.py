"""Unlocking by mail: the link works once, and looking at it uses nothing up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.accounts.lockout import LINK_LIFETIME
from gatekeeper.core.session import UserRecord
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, World, tell


async def locked(w: World) -> tuple[UserRecord, str]:
    """A locked account and the token in its mail."""
    found = await w.users.find(LOGIN) or await w.pat(email=LOGIN)
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await w.sign_in.password(LOGIN, OTHER_PASSWORD)
    mail = (await w.mails("locked"))[-1]
    return found, parse_qs(urlsplit(mail["link"]).query)["token"][0]


async def refused(w: World, token: str) -> None:
    with pytest.raises(AccountError) as caught:
        await w.unlock.unlock(token)
    assert caught.value.reason == "link_closed"


def test_the_link_opens_the_account_after_any_number_of_looks(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, token = await locked(w)
        for _ in range(10):
            assert await w.unlock.peek(token) == pat
        with pytest.raises(InvalidCredentials):
            await w.sign_in.password(LOGIN, PASSWORD)
        assert await w.unlock.unlock(token, client="192.0.2.7", request_id="req-9") == pat
        assert await w.sign_in.password(LOGIN, PASSWORD) == pat
        assert "account.unlocked" in await w.kinds()

    tell(tmp_path, story)


@pytest.mark.databases
def test_fifty_unlocks_in_parallel_work_once(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        _, token = await locked(w)
        tried = await asyncio.gather(*(w.unlock.unlock(token) for _ in range(50)), return_exceptions=True)
        assert sum(isinstance(each, UserRecord) for each in tried) == 1
        assert sum(isinstance(each, AccountError) for each in tried) == 49
        assert (await w.kinds()).count("account.unlocked") == 1
        assert await w.unlock.peek(token) is None

    tell(tmp_path, story)


def test_a_used_link_does_not_open_the_next_lock(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        _, token = await locked(w)
        await w.unlock.unlock(token)
        _, other = await locked(w)
        assert other != token
        await refused(w, token)
        await w.unlock.unlock(other)

    tell(tmp_path, story)


def test_a_link_is_over_after_a_day_and_after_an_administrator_unlocked(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, token = await locked(w)
        w.now += LINK_LIFETIME - 1.0
        assert await w.unlock.peek(token) is not None
        w.now += 1.0
        assert await w.unlock.peek(token) is None
        await refused(w, token)
        async with w.db.begin() as conn:
            await w.lockout.unlock(conn, pat.id, BY)
        _, token = await locked(w)
        async with w.db.begin() as conn:
            await w.lockout.unlock(conn, pat.id, BY)
        await refused(w, token)

    tell(tmp_path, story)


@pytest.mark.parametrize("token", ["", "x", "\udcff", "a" * 10_000])
def test_an_invented_link_opens_nothing(tmp_path: Path, token: str) -> None:
    async def story(w: World) -> None:
        await locked(w)
        assert await w.unlock.peek(token) is None
        await refused(w, token)

    tell(tmp_path, story)
