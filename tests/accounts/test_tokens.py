"""A token works once, for its purpose and its person, until its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatekeeper.accounts import tokens
from gatekeeper.storage import tables
from tests.accounts.support import BY, World, tell

HOUR = 3600.0


async def issue(w: World, purpose: str = "reset", user_id: int | None = 1) -> str:
    async with w.db.begin() as conn:
        return await tokens.issue(conn, purpose, lifetime=HOUR, now=w.now, user_id=user_id)


async def use(w: World, token: str, purpose: str = "reset") -> int | None:
    async with w.db.begin() as conn:
        return await tokens.use(conn, purpose, token, w.now)


async def valid(w: World, token: str, purpose: str = "reset") -> bool:
    async with w.db.read() as conn:
        return await tokens.valid(conn, purpose, token, w.now)


@pytest.mark.databases
def test_of_fifty_uses_at_once_one_works(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issue(w)
        answers = await asyncio.gather(*(use(w, token) for _ in range(50)))
        assert sorted(answers, key=str) == [1] + [None] * 49
        assert not await valid(w, token)

    tell(tmp_path, story)


def test_a_token_serves_its_own_purpose_only(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issue(w, "reset")
        assert not await valid(w, token, "invitation")
        assert not await use(w, token, "invitation")
        assert await use(w, token, "reset")

    tell(tmp_path, story)


def test_a_token_ends_to_the_second(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issue(w)
        w.now += HOUR - 1
        assert await valid(w, token)
        w.now += 1
        assert not await valid(w, token)
        assert not await use(w, token)

    tell(tmp_path, story)


def test_a_new_token_replaces_the_same_persons_older_one_and_nobody_elses(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        older, others, installations = await issue(w), await issue(w, user_id=2), await issue(w, user_id=None)
        newer = await issue(w)
        answers = [await valid(w, token) for token in (older, newer, others, installations)]
        assert answers == [False, True, True, True]

    tell(tmp_path, story)


def test_looking_at_a_token_says_whose_it_is_and_consumes_nothing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issue(w)
        async with w.db.read() as conn:
            assert [await tokens.peek(conn, "reset", token, w.now) for _ in range(10)] == [1] * 10
            assert await tokens.peek(conn, "invitation", token, w.now) is None
        assert await use(w, token) == 1
        async with w.db.read() as conn:
            assert await tokens.peek(conn, "reset", token, w.now) is None

    tell(tmp_path, story)


def test_a_token_of_nobody_is_not_taken_for_somebodys(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        nobodys, somebodys = await issue(w, user_id=None), await issue(w)
        assert await use(w, nobodys) is None
        async with w.db.begin() as conn:
            assert not await tokens.use_nobodys(conn, "reset", somebodys, w.now)
            assert await tokens.use_nobodys(conn, "reset", nobodys, w.now)
            assert not await tokens.use_nobodys(conn, "reset", nobodys, w.now)

    tell(tmp_path, story)


def test_the_tokens_of_a_disabled_account_are_forgotten_for_ever(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        token = await issue(w, user_id=pat.id)
        await w.users.set_disabled(pat.id, True, by=BY)
        await w.users.set_disabled(pat.id, False, by=BY)
        assert await use(w, token) is None

    tell(tmp_path, story)


def test_the_tokens_of_a_deleted_account_are_forgotten(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        token = await issue(w, user_id=pat.id)
        await w.users.delete(pat.id, by=BY)
        assert not await use(w, token)
        assert await w.rows(tables.tokens) == []

    tell(tmp_path, story)
