"""Lockout: five wrong passwords close an account, and strangers never close it to its owner's browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.hashing import Cost
from gatekeeper.accounts.lockout import ABANDONED, LockoutPolicy
from gatekeeper.accounts.sign_in import SignIn
from gatekeeper.core.errors import Overloaded
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, CountingHasher, World, tell, world

SPELLINGS = (LOGIN, "PAT@example.com", "  pat@EXAMPLE.com ", "\uff50at@example.com", "Pat@Example.Com")


async def wrong(w: World, times: int = 1, *, device: str | None = None, login: str = LOGIN) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await w.sign_in.password(login, OTHER_PASSWORD, device=device, client="192.0.2.66")


async def opens(w: World, *, device: str | None = None, sign_in: SignIn | None = None) -> bool:
    """Whether the right password opens the account now."""
    try:
        await (sign_in or w.sign_in).password(LOGIN, PASSWORD, device=device)
    except InvalidCredentials:
        return False
    return True


async def owner(w: World) -> tuple[UserRecord, str]:
    """An account, and the device cookie of the browser that its owner has signed in with before."""
    pat = await w.pat(email=LOGIN)
    return pat, await w.complete(pat)


async def real_verifications(w: World) -> int:
    encoded = {row["password_hash"] for row in await w.rows(tables.users)}
    return sum(1 for each in w.hasher.verified if each in encoded)


async def the_account(w: World) -> dict[str, object]:
    return (await w.rows(tables.users))[0]


def test_the_fifth_wrong_password_locks_in_whatever_spelling_and_not_the_fourth(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        for login in SPELLINGS[:4]:
            await wrong(w, login=login)
        assert await opens(w)
        await wrong(w, login=SPELLINGS[4])
        assert not await opens(w)
        assert (await the_account(w))["locked_at"] == w.now

    tell(tmp_path, story)


def test_a_locked_account_answers_the_right_password_as_it_answers_a_wrong_one(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        await wrong(w, 5)
        w.hasher.verified.clear()
        assert not await opens(w)
        assert w.hasher.verified == [w.hasher._dummy]
        last = (await w.rows(tables.audit_events))[-1]
        assert (last["kind"], last["details"]) == ("sign_in.failed", {"reason": "locked"})

    tell(tmp_path, story)


@pytest.mark.databases
@pytest.mark.parametrize("processes", [1, 4])
def test_of_200_parallel_wrong_passwords_five_are_verified(tmp_path: Path, processes: int) -> None:
    async def told() -> None:
        async with world(tmp_path, CountingHasher(Cost(memory_kib=8, passes=1), queue=256)) as w:
            pat, _ = await owner(w)
            doors = [w.sign_in_with(w.hasher) for _ in range(processes)]

            async def attempt(number: int) -> None:
                with pytest.raises(InvalidCredentials):
                    await doors[number % processes].password(
                        SPELLINGS[number % len(SPELLINGS)], f"{OTHER_PASSWORD} {number}"
                    )

            await asyncio.gather(*(attempt(number) for number in range(200)))
            assert len(w.hasher.verified) == 200
            assert await real_verifications(w) <= 5
            account = await the_account(w)
            assert (account["failures"], account["pending"]) == (5, 0)
            assert len(await w.mails("locked")) == 1
            assert (await w.kinds()).count("account.locked") == 1
            assert pat.id == account["id"]

    asyncio.run(told())


@pytest.mark.databases
def test_many_tabs_that_sign_in_at_once_all_succeed(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        _, device = await owner(w)
        for cookie in (None, device):
            assert all(await asyncio.gather(*(opens(w, device=cookie) for _ in range(12))))
        assert (await the_account(w))["failures"] == 0

    tell(tmp_path, story)


def test_a_right_password_between_wrong_ones_in_parallel_does_not_bring_the_lock_nearer(
    tmp_path: Path,
) -> None:
    async def told() -> None:
        async with world(tmp_path) as w:
            await w.pat()
            doors = [w.sign_in_with(w.hasher) for _ in range(5)]
            tried = await asyncio.gather(
                opens(w, sign_in=doors[0]),
                *(doors[n].password(LOGIN, OTHER_PASSWORD) for n in range(1, 5)),
                return_exceptions=True,
            )
            assert tried[0] is True
            account = await the_account(w)
            assert (account["failures"], account["pending"], account["locked_at"]) == (4, 0, None)

    asyncio.run(told())


def test_only_a_complete_sign_in_sets_the_count_back(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        await wrong(w, 4)
        assert await opens(w)  # the password alone: a code may still be asked for
        assert (await the_account(w))["failures"] == 4
        await w.complete(pat)
        assert (await the_account(w))["failures"] == 0
        await wrong(w, 4)
        assert await opens(w)
        await wrong(w, 1)
        assert not await opens(w)

    tell(tmp_path, story)


def test_whoever_knows_the_password_cannot_guess_codes_for_ever(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        for _ in range(5):
            assert await opens(w)
            async with w.db.begin() as conn:  # as the second factor does with a wrong code
                await w.lockout.failed(conn, await w.lockout.reserve(conn, pat.id, None))
        assert not await opens(w)

    tell(tmp_path, story)


def test_the_owner_signs_in_from_a_known_browser_while_a_stranger_keeps_guessing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, device = await owner(w)
        stop = asyncio.Event()

        async def stranger() -> None:
            while not stop.is_set():
                await wrong(w)

        guessing = asyncio.ensure_future(stranger())
        while (await the_account(w))["locked_at"] is None:
            await asyncio.sleep(0)
        assert not await opens(w)
        assert await opens(w, device=device)
        async with w.db.begin() as conn:  # the second step, still under fire
            ticket = await w.lockout.reserve(conn, pat.id, device)
            assert ticket is not None
            await w.lockout.passed(conn, ticket)
        assert not await w.sign_in.locked(pat.id, device)
        assert await w.complete(pat, device) == device
        stop.set()
        await guessing
        assert not await opens(w), "the lock stays closed to strangers"

    tell(tmp_path, story)


def test_a_stranger_cannot_spend_the_attempts_of_a_known_browser_nor_the_reverse(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        _, device = await owner(w)
        await wrong(w, 4, device=device)
        await wrong(w, 4)
        assert await opens(w)
        assert await opens(w, device=device)

    tell(tmp_path, story)


def test_a_known_browser_that_fails_five_times_is_locked_and_the_account_with_it(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, device = await owner(w)
        other = await w.complete(pat)
        await wrong(w, 5, device=device)
        assert not await opens(w, device=device)
        assert not await opens(w)
        assert await opens(w, device=other)
        assert len(await w.mails("locked")) == 1

    tell(tmp_path, story)


def test_the_cookie_of_another_account_is_no_known_browser(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        stranger = await w.users.add("stranger@example.com", by=BY, password=PASSWORD)
        device = await w.complete(stranger)
        await wrong(w, 5, device=device)
        assert not await opens(w)

    tell(tmp_path, story)


def test_a_lock_between_two_steps_stops_the_next_in_an_unknown_browser(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, device = await owner(w)
        assert await opens(w)
        assert not await w.sign_in.locked(pat.id, None)
        await wrong(w, 5)
        assert await w.sign_in.locked(pat.id, None)
        assert not await w.sign_in.locked(pat.id, device)
        async with w.db.begin() as conn:
            assert await w.lockout.reserve(conn, pat.id, None) is None
        with pytest.raises(InvalidCredentials):
            await w.complete(pat)
        assert (await the_account(w))["failures"] == 5

    tell(tmp_path, story)


def test_a_lock_while_the_right_password_is_verified_stops_it(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        await wrong(w, 4)
        other = w.sign_in_with(CountingHasher())
        async with w.db.begin() as conn:  # another process has one under way already
            user_id = (await the_account(w))["id"]
            await conn.execute(sa.update(tables.users).values(failures=3, pending=0))
        assert isinstance(user_id, int)

        async def meanwhile() -> None:
            w.hasher.before_answer = None
            await w.change(sa.update(tables.users).values(failures=5, locked_at=w.now))

        w.hasher.before_answer = meanwhile
        assert not await opens(w)
        assert not await opens(w, sign_in=other)

    tell(tmp_path, story)


def test_the_mail_about_a_lock_goes_out_once_and_says_how_to_unlock(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await owner(w)
        await wrong(w, 30)
        (mail,) = await w.mails("locked")
        assert mail["link"].startswith("https://gate.example.com/_gate/unlock?token=")
        assert mail["client"] == "192.0.2.66"
        (row,) = [row for row in await w.rows(tables.audit_events) if row["kind"] == "account.locked"]
        assert row["details"] == {"known_browser": False, "mailed": True}
        assert mail["link"].rpartition("=")[2] not in repr(w.lines.seen) + repr(await w.rows(tables.tokens))

    tell(tmp_path, story)


def test_without_unlock_after_no_time_unlocks(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        await wrong(w, 5)
        w.now += 10 * 365 * 86_400
        assert not await opens(w)

    tell(tmp_path, story)


def test_unlock_after_opens_to_the_second_and_begins_a_new_count(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.use(policy=LockoutPolicy(unlock_after=1800.0))
        pat, device = await owner(w)
        await wrong(w, 5)
        await wrong(w, 5, device=device)
        w.now += 1799.0
        for cookie in (None, device):
            assert not await opens(w, device=cookie)
            assert await w.sign_in.locked(pat.id, cookie)
        w.now += 1.0
        for cookie in (None, device):
            assert not await w.sign_in.locked(pat.id, cookie)
            assert await opens(w, device=cookie)
            await wrong(w, 4, device=cookie)
            assert await opens(w, device=cookie)
            await wrong(w, 1, device=cookie)
            assert not await opens(w, device=cookie)

    tell(tmp_path, story)


def test_setting_the_clock_back_unlocks_nothing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        w.use(policy=LockoutPolicy(unlock_after=1800.0))
        await w.pat()
        await wrong(w, 5)
        for back in (1.0, 1800.0, 10_000.0, 400 * 86_400.0):
            w.now -= back
            assert not await opens(w)

    tell(tmp_path, story)


def test_an_attempt_whose_process_died_counts_as_failed(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(email=LOGIN)
        await wrong(w, 3)
        for _ in range(2):
            async with w.db.begin() as conn:
                assert await w.lockout.reserve(conn, pat.id, None) is not None
        assert not await opens(w), "two under way and three failed: no sixth is verified"
        assert (await the_account(w))["locked_at"] is None
        w.now += ABANDONED
        assert not await opens(w)
        assert (await the_account(w))["locked_at"] == w.now
        assert len(await w.mails("locked")) == 1, "nobody is locked out without hearing of it"

    tell(tmp_path, story)


def test_what_could_not_be_verified_does_not_count(tmp_path: Path) -> None:
    async def told() -> None:
        async with world(tmp_path, CountingHasher(queue=1)) as w:
            await w.pat()
            gate = asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold() -> None:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)

            busy = asyncio.ensure_future(w.hasher.run(hold))
            await asyncio.sleep(0)
            for _ in range(10):
                with pytest.raises(Overloaded):
                    await w.sign_in.password(LOGIN, OTHER_PASSWORD)
            gate.set()
            await busy
            account = await the_account(w)
            assert (account["failures"], account["pending"]) == (0, 0)

    asyncio.run(told())


def test_disabled_and_password_less_accounts_are_not_locked_and_get_no_mail(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(email=LOGIN)
        await w.users.set_disabled(pat.id, True, by=BY)
        await w.users.add("no-password@example.com", by=BY, email="no-password@example.com")
        await wrong(w, 7)
        await wrong(w, 7, login="no-password@example.com")
        assert [row["locked_at"] for row in await w.rows(tables.users)] == [None, None]
        assert await w.mails("locked") == []

    tell(tmp_path, story)


def test_an_administrator_unlocks_account_and_browsers(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, device = await owner(w)
        await wrong(w, 5, device=device)
        await wrong(w, 5)
        for expected in (True, False):
            async with w.db.begin() as conn:
                assert await w.lockout.unlock(conn, pat.id, BY) is expected
        assert await opens(w)
        assert await opens(w, device=device)
        rows = [row for row in await w.rows(tables.audit_events) if row["kind"] == "account.unlocked"]
        assert [row["actor"] for row in rows] == [BY.actor]
        assert await w.rows(tables.tokens) == []

    tell(tmp_path, story)


def test_an_attempt_that_ends_after_the_lock_causes_no_second_mail(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat, device = await owner(w)
        await wrong(w, 4)
        async with w.db.begin() as conn:
            late = await w.lockout.reserve(conn, pat.id, None)
        await wrong(w, 5, device=device)
        async with w.db.begin() as conn:
            assert not await w.lockout.failed(conn, late)
        rows = [row for row in await w.rows(tables.outbox) if row["kind"] == "locked"]
        assert len(rows) == 1
        assert (await w.kinds()).count("account.locked") == 1

    tell(tmp_path, story)
