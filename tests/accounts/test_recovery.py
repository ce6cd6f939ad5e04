"""Forgot password: the same for everybody who asks, and one new password for each link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.accounts.recovery import LIFETIME
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.core.steps import StepPolicy, next_step
from gatekeeper.mail.queue import is_for_nobody
from gatekeeper.storage import tables
from tests.accounts.password_support import (
    SEVERAL,
    Ways,
    add_session,
    everything_stored,
    live_sessions,
    mailed_token,
    password_is,
    pat_with_mail,
    refusal,
    reread,
    two_passwords_at_once,
)
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, World, tell

SECRET = "0123456789abcdef0123456789abcdef"


async def asks(w: World, ways: Ways, login: str = LOGIN) -> str:
    """Ask for a mail; the token in it."""
    await ways.recovery.request(login, client="192.0.2.7", request_id="req-2")
    return await mailed_token(w, "recovery")


@contextmanager
def statements(w: World) -> Iterator[list[str]]:
    """Every statement on the write connection, in order, as it was sent."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, text: str, *_: object) -> None:
        seen.append(text)

    engine = w.db._durable.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.databases
def test_a_forgotten_password_is_replaced_with_the_mailed_link(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        token = await asks(w, ways, "PAT@example.com")
        looks = [await ways.recovery.peek(token) for _ in range(10)]
        assert looks == [pat] * 10
        after = await ways.recovery.reset(token, OTHER_PASSWORD, client="192.0.2.8", request_id="req-3")
        assert after == await reread(w, pat)
        assert await password_is(w, pat, OTHER_PASSWORD)
        assert await ways.recovery.peek(token) is None
        error = await refusal(ways.recovery.reset(token, SEVERAL[3]))
        assert error.reason == "link_closed"
        assert len(await w.mails("password_changed")) == 1
        assert (await w.kinds())[-2:] == ["recovery.requested", "password.reset"]

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_fifty_resets_with_one_link_at_once_one_works(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        token = await asks(w, ways)
        outcomes = await asyncio.gather(
            *(ways.recovery.reset(token, f"{OTHER_PASSWORD} {number}") for number in range(50)),
            return_exceptions=True,
        )
        worked = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, UserRecord)]
        refused = [outcome.reason for outcome in outcomes if isinstance(outcome, AccountError)]
        assert (len(worked), refused) == (1, ["link_closed"] * 49)
        assert await password_is(w, pat, f"{OTHER_PASSWORD} {worked[0]}")
        assert len(await w.rows(tables.password_history)) == 1

    tell(tmp_path, story)


def test_a_password_that_is_refused_leaves_the_link_usable(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        token = await asks(w, ways)
        for bad, problem in (("short", "too_short"), (PASSWORD, "current")):
            assert problem in (await refusal(ways.recovery.reset(token, bad))).problems
        await ways.recovery.reset(token, OTHER_PASSWORD)
        assert await password_is(w, pat, OTHER_PASSWORD)

    tell(tmp_path, story)


def test_nobody_without_a_link_makes_us_hash(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        before = w.hasher.hashed
        error = await refusal(Ways(w).recovery.reset("made-up", OTHER_PASSWORD))
        assert (error.reason, w.hasher.hashed, w.hasher.verified) == ("link_closed", before, [])

    tell(tmp_path, story)


def test_a_link_ends_after_an_hour_to_the_second(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        token = await asks(w, ways)
        (mail,) = [row for row in await w.rows(tables.outbox) if row["kind"] == "recovery"]
        assert mail["expires_at"] == w.now + LIFETIME == w.now + 3600
        w.now += LIFETIME - 1
        assert await ways.recovery.peek(token) == pat
        w.now += 1
        assert await ways.recovery.peek(token) is None
        assert (await refusal(ways.recovery.reset(token, OTHER_PASSWORD))).reason == "link_closed"

    tell(tmp_path, story)


def test_a_newer_link_replaces_the_older(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        older = await asks(w, ways)
        newer = await asks(w, ways)
        assert await ways.recovery.peek(older) is None
        assert await ways.recovery.peek(newer) == pat

    tell(tmp_path, story)


def test_a_link_dies_with_a_password_change_and_with_disabling(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        token = await asks(w, ways)
        await ways.changes.change(pat, OTHER_PASSWORD, current=PASSWORD, by=BY, keep=None)
        assert await ways.recovery.peek(token) is None
        token = await asks(w, ways)
        # Not through `set_disabled`, which withdraws the token: the account's state alone must be enough.
        await w.change(sa.update(tables.users).values(disabled=True))
        assert await ways.recovery.peek(token) is None
        assert (await refusal(ways.recovery.reset(token, SEVERAL[3]))).reason == "link_closed"

    tell(tmp_path, story)


def test_a_reset_ends_every_session_and_unlocks(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        await add_session(w, pat, b"s" * 32)
        await w.change(sa.update(tables.users).values(locked_at=w.now, failures=5))
        token = await asks(w, ways)
        await ways.recovery.reset(token, OTHER_PASSWORD)
        assert await live_sessions(w) == set()
        assert (await w.sign_in.password(LOGIN, OTHER_PASSWORD)).id == pat.id

    tell(tmp_path, story)


def test_a_reset_skips_no_second_factor_and_distrusts_browsers(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        await w.change(
            sa.insert(tables.totp).values(user_id=pat.id, secret=b"x", created_at=w.now, confirmed_at=w.now)
        )
        async with w.db.begin() as conn:
            cookie, _ = await w.devices.remember(conn, pat.id, None, "Firefox")
            await w.devices.trust(conn, pat.id, cookie, w.now + 1000)
        after = await ways.recovery.reset(await asks(w, ways), OTHER_PASSWORD)
        assert after.second_factor
        assert await live_sessions(w) == set()  # nobody is signed in by it
        proved = SessionRecord(b"k", pat.id, 0, w.now, w.now, False, "pwd", w.now, 0.0, "", "")
        assert next_step(proved, after, StepPolicy(two_factor="optional")) == "second_factor"
        async with w.db.read() as conn:
            assert not await w.devices.trusted(conn, pat.id, cookie, w.now)

    tell(tmp_path, story)


def test_a_password_of_ones_own_answers_an_administrators_demand(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        await ways.changes.generate(pat.id, by=BY, mail=True)
        after = await ways.recovery.reset(await asks(w, ways), OTHER_PASSWORD)
        assert after.must_change == ""

    tell(tmp_path, story)


async def everybody(w: World) -> list[str]:
    """One account of each kind that may not be told apart, and a login that nobody has."""
    await pat_with_mail(w)
    for login, email, password in (
        ("disabled@example.com", "disabled@example.com", PASSWORD),
        ("locked@example.com", "locked@example.com", PASSWORD),
        ("no-address", "", PASSWORD),
        ("no-password@example.com", "no-password@example.com", None),
    ):
        await w.users.add(login, email=email, password=password, by=BY)
    await w.change(sa.update(tables.users).where(tables.users.c.login.like("dis%")).values(disabled=True))
    await w.change(sa.update(tables.users).where(tables.users.c.login.like("loc%")).values(locked_at=w.now))
    logins = [row["login"] for row in await w.rows(tables.users)]
    return [*logins, "nobody@example.com", "x" * 5000, "\x00", ""]


def test_the_same_statements_answer_every_login(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        seen: dict[str, list[str]] = {}
        for login in await everybody(w):
            with statements(w) as seen[login]:
                await ways.recovery.request(login, client="192.0.2.7")
        first = seen[LOGIN]
        assert len(first) > 8
        for login, each in seen.items():
            assert each == first, login[:40]

    tell(tmp_path, story)


def test_only_open_accounts_with_password_and_address_get_a_mail(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        ways = Ways(w)
        for login in await everybody(w):
            await ways.recovery.request(login)
        posted = await w.rows(tables.outbox)
        waiting = [row["recipient"] for row in posted if not is_for_nobody(row["user_id"])]
        assert waiting == [LOGIN, "locked@example.com"]
        # For each of the others one is made and dropped, or the sender's work would tell.
        for_nobody = [row["recipient"] for row in posted if is_for_nobody(row["user_id"])]
        assert for_nobody == ["nobody@invalid"] * 7
        owners = {row["user_id"] for row in await w.rows(tables.tokens)}
        assert len(owners) == 2
        assert 0 not in owners
        reasons = [
            row["details"]["refused"]
            for row in await w.rows(tables.audit_events)
            if row["kind"] == "recovery.requested"
        ]
        assert reasons == ["", "disabled", "", "no_address", "no_password", *["unknown_login"] * 4]

    tell(tmp_path, story)


def test_asking_again_replaces_the_mail_for_known_and_unknown_logins(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        ways = Ways(w)
        for login in (LOGIN, "nobody@example.com"):
            for _ in range(3):
                await ways.recovery.request(login)
        assert [row["content"] is None for row in await w.rows(tables.outbox)] == [True, True, False] * 2

    tell(tmp_path, story)


def test_too_many_requests_are_refused_alike_for_known_and_unknown_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        limits = {what: Limits(None, Rate(2, 3600.0), None) for what in Attempt}
        w.rates = Rates(w.audit, lambda: w.now, secret=SECRET, limits=limits)
        ways = Ways(w)
        for login in (LOGIN, "nobody@example.com", "y" * 5000):
            for _ in range(2):
                await ways.recovery.request(login)
            with pytest.raises(RateLimited) as caught:
                await ways.recovery.request(login.upper())
            assert caught.value.retry_after == 1800
        monkeypatch.setattr(w.db, "begin", None)  # a flood of them takes no transaction
        with pytest.raises(RateLimited):
            await ways.recovery.request(LOGIN)

    tell(tmp_path, story)


def test_without_mail_nothing_is_promised(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        ways = Ways(w, mail=False)
        assert not ways.recovery.enabled
        await ways.recovery.request(LOGIN)
        assert await w.rows(tables.outbox) == []

    tell(tmp_path, story)


@pytest.mark.sqlite
def test_neither_token_nor_password_is_stored_or_logged_in_clear(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        ways = Ways(w)
        token = await asks(w, ways)
        await ways.recovery.reset(token, OTHER_PASSWORD, client="192.0.2.7")
        await ways.recovery.request("this was typed into the wrong field")
        stored = everything_stored(tmp_path)
        assert LOGIN.encode() in stored
        for canary in (token, OTHER_PASSWORD, PASSWORD, "typed into the wrong field"):
            assert canary.encode() not in stored
            assert canary not in str(w.lines.seen)

    tell(tmp_path, story)


def test_passwords_chosen_with_a_link_are_rated_apart_from_signing_in(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await pat_with_mail(w)
        w.use(rates=two_passwords_at_once(w))
        ways = Ways(w)
        token = await asks(w, ways)
        for _ in range(2):
            with pytest.raises(InvalidCredentials):
                await w.sign_in.password(LOGIN, "not the password")
        for _ in range(2):
            await refusal(ways.recovery.reset(token, "short"))
        before = w.hasher.hashed
        with pytest.raises(RateLimited):
            await ways.recovery.reset(token, OTHER_PASSWORD)
        assert w.hasher.hashed == before
        w.now += 150
        await ways.recovery.reset(token, OTHER_PASSWORD)
        assert await password_is(w, pat, OTHER_PASSWORD)

    tell(tmp_path, story)
