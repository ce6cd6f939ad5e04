"""An invitation is followed once: to sign in with the mailed password, or to choose a first one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.accounts.invitations import LIFETIME
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.password_support import (
    DAY,
    SEVERAL,
    Ways,
    everything_stored,
    mailed_token,
    password_is,
    pat_with_mail,
    refusal,
    reread,
    two_passwords_at_once,
)
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, World, tell


async def invited(w: World, ways: Ways, *, password: bool) -> tuple[UserRecord, str]:
    """A new account without a password, and the token of its invitation."""
    user = await pat_with_mail(w, password=None)
    await ways.invitations.invite(user.id, by=BY, password=password)
    return user, await mailed_token(w, "invitation")


def test_an_invited_person_signs_in_with_the_credentials_from_the_mail(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, token = await invited(w, ways, password=True)
        (mail,) = await w.mails("invitation")
        looks = [(await ways.invitations.peek(token)) is not None for _ in range(10)]
        assert looks == [True] * 10
        assert not await ways.invitations.needs_password(token)
        accepted = await ways.invitations.accept(token, client="192.0.2.9")
        assert accepted is not None
        assert accepted.must_change == "first_logon"
        assert await ways.invitations.peek(token) is None
        assert (await w.sign_in.password(LOGIN, mail["password"])).id == user.id
        assert "password_changed" not in {row["kind"] for row in await w.rows(tables.outbox)}
        assert {"user.invited", "invitation.accepted"} < set(await w.kinds())

    tell(tmp_path, story)


def test_without_a_mailed_password_the_link_leads_to_choosing_one(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, token = await invited(w, ways, password=False)
        (mail,) = await w.mails("invitation")
        assert set(mail) == {"link"}
        assert await ways.invitations.needs_password(token)
        assert await ways.invitations.accept(token) is None  # that alone would leave nothing to sign in with
        assert (await refusal(ways.invitations.set_password(token, "short"))).reason == "bad_password"
        after = await ways.invitations.set_password(token, OTHER_PASSWORD)
        assert after == await reread(w, user)
        assert after.must_change == ""
        assert await password_is(w, user, OTHER_PASSWORD)
        assert (await refusal(ways.invitations.set_password(token, SEVERAL[3]))).reason == "link_closed"

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_fifty_people_following_one_link_at_once_one_gets_through(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, token = await invited(w, ways, password=False)
        outcomes = await asyncio.gather(
            *(ways.invitations.set_password(token, f"{OTHER_PASSWORD} {n}") for n in range(50)),
            return_exceptions=True,
        )
        worked = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, UserRecord)]
        refused = [outcome.reason for outcome in outcomes if isinstance(outcome, AccountError)]
        assert (len(worked), refused) == (1, ["link_closed"] * 49)
        assert await password_is(w, user, f"{OTHER_PASSWORD} {worked[0]}")

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_fifty_accepting_one_invitation_at_once_one_does(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        _, token = await invited(w, ways, password=True)
        answers = await asyncio.gather(*(ways.invitations.accept(token) for _ in range(50)))
        assert [answer is not None for answer in answers].count(True) == 1

    tell(tmp_path, story)


def test_an_invitation_ends_after_seven_days_to_the_second(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, token = await invited(w, ways, password=False)
        (mail,) = await w.rows(tables.outbox)
        assert mail["expires_at"] == w.now + LIFETIME == w.now + 7 * DAY
        w.now += LIFETIME - 1
        assert await ways.invitations.peek(token) == user
        w.now += 1
        assert await ways.invitations.peek(token) is None
        assert not await ways.invitations.needs_password(token)

    tell(tmp_path, story)


def test_inviting_again_replaces_link_and_password(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, older = await invited(w, ways, password=True)
        (first,) = await w.mails("invitation")
        await ways.invitations.invite(user.id, by=BY, password=True)
        (second,) = await w.mails("invitation")  # the older one waits no more
        assert await ways.invitations.peek(older) is None
        assert not await password_is(w, user, first["password"])
        assert await password_is(w, user, second["password"])

    tell(tmp_path, story)


def test_a_link_to_choose_a_password_never_replaces_one(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        user, token = await invited(w, ways, password=False)
        # Not through `Users`, which withdraws the token: that there is a password must be enough.
        await w.change(sa.update(tables.users).values(password_hash=await w.hasher.hash(OTHER_PASSWORD)))
        assert (await refusal(ways.invitations.set_password(token, SEVERAL[3]))).reason == "link_closed"
        assert await password_is(w, user, OTHER_PASSWORD)

    tell(tmp_path, story)


def test_a_disabled_accounts_invitation_is_over(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        _, token = await invited(w, ways, password=False)
        await w.change(sa.update(tables.users).values(disabled=True))
        assert await ways.invitations.peek(token) is None
        assert (await refusal(ways.invitations.set_password(token, OTHER_PASSWORD))).reason == "link_closed"

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "mail", "reason"),
    [
        ({}, False, "no_mail"),
        ({"email": ""}, True, "no_address"),
        ({"disabled": True}, True, "disabled"),
        ({"last_sign_in_at": 1.0}, True, "has_signed_in"),
    ],
)
def test_who_cannot_be_invited_is_said_and_nothing_changes(
    tmp_path: Path, change: dict[str, object], mail: bool, reason: str
) -> None:
    async def story(w: World) -> None:
        user = await pat_with_mail(w)
        if change:
            await w.change(sa.update(tables.users).values(change))
        before = await w.rows(tables.users)
        error = await refusal(Ways(w, mail=mail).invitations.invite(user.id, by=BY, password=True))
        assert error.reason == reason
        assert await w.rows(tables.users) == before
        assert await w.rows(tables.tokens) == await w.rows(tables.outbox) == []

    tell(tmp_path, story)


def test_nobody_is_invited_to_a_password_where_there_are_none(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        user = await pat_with_mail(w)
        ways = Ways(w)
        ways.invitations._passwords = False
        assert (
            await refusal(ways.invitations.invite(user.id, by=BY, password=False))
        ).reason == "no_passwords"
        assert await w.rows(tables.outbox) == []

    tell(tmp_path, story)


def test_neither_token_nor_password_is_stored_or_logged_in_clear(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        _, token = await invited(w, ways, password=True)
        (mail,) = await w.mails("invitation")
        await ways.invitations.accept(token)
        stored = everything_stored(tmp_path)
        for canary in (token, mail["password"]):
            assert canary.encode() not in stored
            assert canary not in str(w.lines.seen)

    tell(tmp_path, story)


def test_passwords_chosen_with_a_link_are_rated_apart_from_signing_in(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.use(rates=two_passwords_at_once(w))
        ways = Ways(w)
        pat, token = await invited(w, ways, password=False)
        for _ in range(2):
            with pytest.raises(InvalidCredentials):
                await w.sign_in.password(LOGIN, "not the password")
        for _ in range(2):
            await refusal(ways.invitations.set_password(token, "short"))
        before = w.hasher.hashed
        with pytest.raises(RateLimited):
            await ways.invitations.set_password(token, OTHER_PASSWORD)
        assert w.hasher.hashed == before
        w.now += 150
        await ways.invitations.set_password(token, OTHER_PASSWORD)
        assert await password_is(w, pat, OTHER_PASSWORD)

    tell(tmp_path, story)
