"""Who must choose a new password when, and one reminder for each password."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.expiry import ExpiryPolicy, due
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.core.steps import StepPolicy, Why, why_new_password
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.storage import tables
from tests.accounts.password_support import DAY, Ways, pat_with_mail
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, START, World, tell

POLICY = ExpiryPolicy(90 * DAY, 30 * DAY, 14 * DAY)
STEPS = StepPolicy(password_max_age=90 * DAY, password_unused=30 * DAY)
PAT = UserRecord(
    1, LOGIN, "Pat Example", LOGIN, (), disabled=False, session_epoch=0, password_changed_at=START
)


@pytest.mark.parametrize("second", [-1, 0, 1])
@pytest.mark.parametrize(
    ("last", "days", "why"), [(START + 89 * DAY, 90, "expired"), (START + DAY, 31, "unused")]
)
def test_the_list_and_the_sign_in_agree_to_the_second(last: float, days: int, why: str, second: int) -> None:
    now = START + days * DAY + second
    user = PAT._replace(last_sign_in_at=last)
    expected = why if second >= 0 else ""
    assert due(user, POLICY, now).must_change == expected
    session = SessionRecord(b"k" * 32, 1, 0, now, now, False, "pwd", now, 0.0, "", "")
    assert why_new_password(session, user, STEPS) == Why(expected)


def test_what_an_administrator_demanded_comes_first() -> None:
    found = due(PAT._replace(must_change="reset"), POLICY, START + 100 * DAY)
    assert (found.must_change, found.at, found.remind_at) == ("reset", 0.0, None)


def test_never_means_never() -> None:
    found = due(PAT, ExpiryPolicy(), START + 10_000 * DAY)
    assert (found.must_change, found.at) == ("", math.inf)
    assert (found.expires_at, found.unused_at, found.remind_at) == (None, None, None)


def test_a_reminder_is_sent_once_for_each_password(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, ways = await pat_with_mail(w), Ways(w)
        w.now = START + 76 * DAY - 1
        assert await ways.expiry.remind() == 0
        w.now += 1
        assert await ways.expiry.remind() == 1
        (mail,) = await w.mails("password_expires")
        assert mail == {
            "link": "https://gate.example.com/_gate/password",
            "days": "14",
            "when": "2027-04-15T08:00:00+00:00",
        }
        for _ in range(3):
            w.now += DAY
            assert await ways.expiry.remind() == 0
        await ways.changes.change(pat, OTHER_PASSWORD, current=None, by=BY, keep=None)
        changed_at = w.now
        w.now = changed_at + 76 * DAY - 1
        assert await ways.expiry.remind() == 0
        w.now += 1
        assert await ways.expiry.remind() == 1
        assert (await w.kinds()).count("password.reminded") == 2

    tell(tmp_path, story)


@pytest.mark.databases
def test_several_processes_remind_once(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        w.now += 80 * DAY
        counts = await asyncio.gather(*(Ways(w).expiry.remind() for _ in range(10)))
        assert sum(counts) == len(await w.rows(tables.outbox)) == 1

    tell(tmp_path, story)


def test_the_reminder_is_worth_sending_until_the_password_expires(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        w.now = START + 90 * DAY - 1
        assert await Ways(w).expiry.remind() == 1
        (mail,) = await w.rows(tables.outbox)
        assert mail["expires_at"] == START + 90 * DAY
        assert (await w.mails("password_expires"))[0]["days"] == "1"

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "days"),
    [
        ({"disabled": True}, 80),
        ({"email": ""}, 80),
        ({"password_hash": None}, 80),
        ({"must_change": "reset"}, 80),
        ({}, 90),
    ],
    ids=["disabled", "no address", "no password", "demanded anyway", "expired already"],
)
def test_who_gets_no_reminder(tmp_path: Path, change: dict[str, object], days: int) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        if change:
            await w.change(sa.update(tables.users).values(change))
        w.now = START + days * DAY
        assert await Ways(w).expiry.remind() == 0
        assert await w.rows(tables.outbox) == []
        assert (await w.rows(tables.users))[0]["reminded_at"] is None

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("policy", "mail"),
    [
        (POLICY._replace(max_age=None), True),
        (POLICY._replace(remind_before=None), True),
        (POLICY, False),
    ],
    ids=["never expires", "never remind", "no mail"],
)
def test_without_expiry_reminders_or_mail_nothing_is_marked_as_sent(
    tmp_path: Path, policy: ExpiryPolicy, mail: bool
) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        w.now = START + 80 * DAY
        assert await Ways(w, expiry=policy, mail=mail).expiry.remind() == 0
        assert (await w.rows(tables.users))[0]["reminded_at"] is None

    tell(tmp_path, story)


def test_the_list_begins_with_who_is_due_first(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        await w.users.add("first@example.com", password=OTHER_PASSWORD, must_change="first_logon", by=BY)
        await w.users.add("nobody@example.com", by=BY)
        closed = await w.users.add("closed@example.com", password=OTHER_PASSWORD, by=BY)
        await w.users.set_disabled(closed.id, True, by=BY)
        w.now += DAY
        await w.users.add("new@example.com", password=OTHER_PASSWORD, by=BY)
        listed = await Ways(w).expiry.list()
        assert [(each.user.login, each.at, each.remind_at) for each in listed] == [
            ("first@example.com", 0.0, None),
            (LOGIN, START + 30 * DAY, START + 76 * DAY),
            ("new@example.com", START + 31 * DAY, None),
        ]

    tell(tmp_path, story)


def test_the_loop_outlives_a_database_that_is_down(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await pat_with_mail(w)
        w.now += 80 * DAY
        expiry, looked = Ways(w).expiry, 0
        real = expiry.remind

        async def remind() -> int:
            nonlocal looked
            looked += 1
            if looked == 1:
                raise StoreUnavailable("down")
            return await real()

        expiry.remind = remind  # type: ignore[method-assign]
        failed: list[BaseException] = []
        tasks = TaskKeeper(failed.append)
        tasks.start(expiry.run(every=0.0))
        async with asyncio.timeout(10):
            while not await w.rows(tables.outbox):
                await asyncio.sleep(0)
        await tasks.close()
        assert failed == []
        assert looked >= 2

    tell(tmp_path, story)
