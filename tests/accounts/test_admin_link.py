"""The one-time administrator link lets one person in, once, and then never again."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from gatekeeper.accounts.admin_link import LIFETIME, ROLE
from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, PASSWORD, World, tell


async def redeem(w: World, token: str, login: str = LOGIN, password: str = PASSWORD) -> UserRecord:
    return await w.link.redeem(
        token, login, "Pat Example", LOGIN, password, client="192.0.2.9", request_id="r"
    )


async def reason(w: World, token: str, login: str = LOGIN, password: str = PASSWORD) -> str:
    with pytest.raises(AccountError) as caught:
        await redeem(w, token, login, password)
    return caught.value.reason


async def issued(w: World) -> str:
    token = await w.link.issue()
    assert token is not None
    return token


def test_the_link_makes_the_first_administrator(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        assert await w.link.valid(token)
        admin = await redeem(w, token)
        assert admin.roles == (ROLE,) == ("gatekeeper-admin",)
        assert (await w.sign_in.password(LOGIN, PASSWORD)).id == admin.id
        used = next(
            row for row in await w.rows(tables.audit_events) if row["kind"] == "administrator_link.used"
        )
        assert (used["login"], used["client"]) == (LOGIN, "192.0.2.9")

    tell(tmp_path, story)


def test_it_is_open_while_a_link_could_be_redeemed(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        assert not await w.link.open(), "none was issued"
        await issued(w)
        assert await w.link.open()
        w.now += LIFETIME
        assert not await w.link.open(), "it has expired"
        await redeem(w, await issued(w))
        assert not await w.link.open()

    tell(tmp_path, story)


def test_once_used_it_is_closed_for_ever(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        await redeem(w, token)
        assert not await w.link.valid(token)
        assert await reason(w, token, "second@example.com") == "link_closed"
        assert await w.link.issue() is None
        admin = await w.users.find(LOGIN)
        assert admin is not None
        await w.users.delete(admin.id, by=BY)
        assert await w.link.issue() is None  # not even when the administrator is gone

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_fifty_redeems_at_once_one_works(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        outcomes = await asyncio.gather(
            *(redeem(w, token, f"person-{number}@example.com") for number in range(50)),
            return_exceptions=True,
        )
        assert len([outcome for outcome in outcomes if isinstance(outcome, UserRecord)]) == 1
        refused = [outcome for outcome in outcomes if isinstance(outcome, AccountError)]
        assert [error.reason for error in refused] == ["link_closed"] * 49
        assert len(await w.users.list()) == 1

    tell(tmp_path, story)


def test_looking_at_the_link_uses_nothing_up(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        for _ in range(10):
            assert await w.link.valid(token)
        await redeem(w, token)

    tell(tmp_path, story)


def test_a_new_start_replaces_the_older_link(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        older, newer = await issued(w), await issued(w)
        assert older != newer
        assert not await w.link.valid(older)
        assert await reason(w, older) == "link_closed"
        assert len(await w.rows(tables.tokens)) == 1
        await redeem(w, newer)

    tell(tmp_path, story)


def test_the_link_ends_to_the_second(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        w.now += LIFETIME - 1
        assert await w.link.valid(token)
        w.now += 1
        assert not await w.link.valid(token)
        assert await reason(w, token) == "link_closed"
        await redeem(w, await issued(w))  # the next start gives another

    tell(tmp_path, story)


def test_a_mistake_in_the_form_does_not_use_the_link_up(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        token = await issued(w)
        assert await reason(w, token, "admin@example.com", "short") == "bad_password"
        assert await reason(w, token, "a\x00b") == "bad_login"
        assert await reason(w, token, LOGIN) == "login_taken"
        assert await w.link.valid(token)
        await redeem(w, token, "admin@example.com")

    tell(tmp_path, story)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "A" * 43, "x" * 60_000])
def test_without_the_link_nobody_makes_the_server_hash(tmp_path: Path, token: str) -> None:
    async def story(w: World) -> None:
        await issued(w)
        assert await reason(w, token) == "link_closed"
        assert w.hasher.hashed == 0
        assert (await w.kinds())[-1] == "administrator_link.refused"

    tell(tmp_path, story)


def test_the_store_knows_only_the_tokens_hash(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        token = await issued(w)
        (row,) = await w.rows(tables.tokens)
        assert row["hash"] == hashlib.sha256(token.encode()).digest()
        for file in tmp_path.iterdir():
            assert token.encode() not in file.read_bytes()

    tell(tmp_path, story)
