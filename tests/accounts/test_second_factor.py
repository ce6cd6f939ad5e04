"""Setting up, proving, replacing and losing a second factor."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import AccountError, InvalidCode
from gatekeeper.accounts.lockout import LockoutPolicy
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.accounts.second_factor import SecondFactors
from gatekeeper.audit.events import Source
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.secretbox import SealBroken
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.core.steps import Step, StepPolicy, next_step
from gatekeeper.storage import tables
from tests.accounts.support import BY, SECRET, START, UNLIMITED, World, tell
from tests.factors.support import SESSION, App, factors, set_up

OTHER_SECRET = "another secret, from before the move"


async def refused(second: SecondFactors, user: UserRecord, code: str, device: str | None = None) -> None:
    with pytest.raises(InvalidCode):
        await second.verify(user, code, device=device)


async def again(world: World, user: UserRecord) -> UserRecord:
    found = await world.users.get(user.id)
    assert found is not None
    return found


async def reasons(world: World) -> list[str]:
    return [
        row["details"]["reason"]
        for row in await world.rows(tables.audit_events)
        if row["kind"] == "sign_in.failed"
    ]


async def a_session(world: World, user: UserRecord, key: bytes) -> None:
    record = SessionRecord(key, user.id, 0, world.now, world.now, False, "pwd", world.now, 0.0, "", "")
    stored = {name: value for name, value in record._asdict().items() if name in tables.sessions.c}
    await world.change(sa.insert(tables.sessions).values(stored))


async def live_sessions(world: World) -> list[bytes]:
    return [row["key"] for row in await world.rows(tables.sessions) if row["ended_at"] is None]


def test_setting_up_takes_a_code_and_gives_ten_recovery_codes(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world)
        setup = await second.begin(pat, session=SESSION)
        assert setup.account == "pat@example.com"
        assert setup.groups.replace(" ", "") == setup.secret
        assert setup.secret in setup.uri
        assert not (await again(world, pat)).second_factor, "only shown"

        app = App(world, setup.secret)
        codes = await second.confirm(pat, app.code, by=BY, session=SESSION)
        assert len(set(codes)) == 10 == await second.recovery_codes_left(pat.id)
        assert (await again(world, pat)).second_factor
        assert (await world.kinds())[-1] == "second_factor.set_up"
        assert [mail["change"] for mail in await world.mails("second_factor_changed")] == ["added"]

        await refused(second, pat, app.code)  # the code that set it up is used up
        world.now += 30
        assert await second.verify(pat, app.code, device=None) == "otp"
        assert (await world.kinds())[-1] == "sign_in.code_accepted"

    tell(tmp_path, story)


def test_a_wrong_first_code_sets_nothing_up_and_locks_nobody_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app = App(world, (await second.begin(pat, session=SESSION)).secret)
        for _ in range(8):
            with pytest.raises(InvalidCode):
                await second.confirm(pat, app.wrong, by=BY, session=SESSION)
        assert not (await again(world, pat)).second_factor
        assert len(await second.confirm(pat, app.code, by=BY, session=SESSION)) == 10

    tell(tmp_path, story)


def test_the_set_up_page_shows_the_same_secret_on_a_reload_but_not_for_ever(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        first = (await second.begin(pat, session=SESSION)).secret
        world.now = START + 599.9
        assert (await second.begin(pat, session=SESSION)).secret == first
        world.now = START + 600.0
        later = (await second.begin(pat, session=SESSION)).secret
        assert later != first, "whoever saw the first one knows nothing of it"
        world.now = START + 1200.0
        with pytest.raises(InvalidCode):
            await second.confirm(pat, App(world, first).code, by=BY, session=SESSION)

        world.now = START + 1799.9
        assert len(await second.confirm(pat, App(world, later).code, by=BY, session=SESSION)) == 10

    tell(tmp_path, story)


def test_whoever_else_knows_the_password_is_not_shown_what_the_owner_sets_up(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        thiefs, owners = b"t" * 32, b"o" * 32
        await a_session(world, pat, thiefs)
        await a_session(world, pat, owners)
        seen = (await second.begin(pat, session=thiefs)).secret
        scanned = (await second.begin(pat, session=owners)).secret
        assert seen != scanned
        thief, owner = App(world, seen), App(world, scanned)
        with pytest.raises(InvalidCode):
            await second.confirm(pat, thief.code, by=BY, session=owners)
        await second.confirm(pat, owner.code, by=BY, session=owners)

        assert await live_sessions(world) == [owners]
        with pytest.raises(InvalidCode):
            await second.confirm(pat, thief.code, by=BY, session=thiefs)
        world.now += 30
        await refused(second, pat, thief.code)
        assert await second.verify(pat, owner.code, device=None) == "otp"

    tell(tmp_path, story)


def test_nobody_elses_account_is_shown_the_same_secret(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        sam = await world.users.add("sam@example.com", by=BY)
        mine = await second.begin(pat, session=SESSION)
        assert mine.secret != (await second.begin(sam, session=SESSION)).secret
        assert len(mine.secret) == 32

    tell(tmp_path, story)


def test_a_secret_shown_long_ago_cannot_be_confirmed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app = App(world, (await second.begin(pat, session=SESSION)).secret)
        world.now += 1200.0
        with pytest.raises(InvalidCode):
            await second.confirm(pat, app.code, by=BY, session=SESSION)

    tell(tmp_path, story)


def test_what_is_set_up_is_neither_shown_again_nor_replaced(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        with pytest.raises(AccountError) as caught:
            await second.begin(pat, session=SESSION)
        assert caught.value.reason == "second_factor_exists"
        with pytest.raises(InvalidCode):
            await second.confirm(pat, app.code, by=BY, session=SESSION)
        assert await second.verify(pat, app.code, device=None) == "otp"

    tell(tmp_path, story)


@pytest.mark.parametrize("off", [-30, 0, 30])
def test_a_phone_may_be_one_step_off(tmp_path: Path, off: float) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        world.now += 300
        app.off = off
        assert await second.verify(pat, app.code, device=None) == "otp"
        await refused(second, pat, app.code)
        app.off = 3 * off or 90
        await refused(second, pat, app.code)
        assert await reasons(world) == ["used_before", "wrong"]

    tell(tmp_path, story)


def test_no_code_from_before_an_accepted_one(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        world.now += 300
        app.off = 30
        assert await second.verify(pat, app.code, device=None) == "otp"
        app.off = 0
        await refused(second, pat, app.code)

    tell(tmp_path, story)


def test_five_wrong_codes_lock_the_account_and_then_the_right_one_is_refused_alike(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world)
        app, codes = await set_up(world, second, pat)
        for _ in range(5):
            await refused(second, pat, app.wrong)
        assert len(await world.mails("locked")) == 1
        await refused(second, pat, app.code)
        await refused(second, pat, codes[0])
        assert await reasons(world) == ["wrong"] * 5 + ["locked"] * 2
        assert await second.recovery_codes_left(pat.id) == 10, "not used up while locked"

        async with world.db.begin() as conn:
            await world.lockout.unlock(conn, pat.id, BY)
        assert await second.verify(pat, app.code, device=None) == "otp", "nor was the code"

    tell(tmp_path, story)


def test_codes_and_passwords_count_together_until_a_sign_in_is_complete(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        for _ in range(4):
            await refused(second, pat, app.wrong)
        assert await second.verify(pat, app.code, device=None) == "otp"
        await refused(second, pat, app.wrong)
        assert "account.locked" in await world.kinds(), "a right code in between sets nothing back"

    tell(tmp_path, story)


def test_a_known_browser_counts_for_itself(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        device = await world.complete(pat)
        for _ in range(5):
            await refused(second, pat, app.wrong)
        await refused(second, pat, app.code)
        assert await second.verify(pat, app.code, device=device) == "otp"

    tell(tmp_path, story)


def test_a_code_that_is_sent_over_and_over_is_refused_but_is_no_guess(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, codes = await set_up(world, second, pat)
        for code in (app.code, codes[0]):
            await second.verify(pat, code, device=None)
            for _ in range(7):
                await refused(second, pat, code)
        assert "account.locked" not in await world.kinds()

    tell(tmp_path, story)


def test_a_recovery_code_opens_once_in_whatever_spelling(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world)
        _, codes = await set_up(world, second, pat)
        assert await second.verify(pat, codes[4].upper().replace("-", " "), device=None) == "recovery"
        await refused(second, pat, codes[4])
        assert await second.recovery_codes_left(pat.id) == 9

        fresh = await second.new_recovery_codes(pat, BY)
        assert await second.recovery_codes_left(pat.id) == 10
        await refused(second, pat, codes[5])
        assert await second.verify(pat, fresh[0], device=None) == "recovery"
        changes = [mail["change"] for mail in await world.mails("second_factor_changed")]
        assert changes == ["added", "recovery_codes"]

    tell(tmp_path, story)


@pytest.mark.parametrize("code", ["", "123", "not a code", "0" * 24, "123456", "\ud800", "1" * 1_000_000])
def test_an_account_without_a_second_factor_is_refused_like_a_wrong_code(tmp_path: Path, code: str) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        await refused(factors(world), pat, code)
        assert await reasons(world) == ["wrong"]

    tell(tmp_path, story)


def test_a_disabled_or_deleted_account_proves_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)
        await world.users.set_disabled(pat.id, True, by=BY)
        await refused(second, pat, app.code)
        assert await reasons(world) == ["disabled"]
        await world.users.delete(pat.id, by=BY)
        await refused(second, pat, app.code)

    tell(tmp_path, story)


def test_rates_limit_codes_whatever_the_lockout_allows(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        limits = {**UNLIMITED, Attempt.CODE: Limits(None, Rate(3, 300.0), None)}
        world.use(
            policy=LockoutPolicy(attempts=100),
            rates=Rates(world.audit, lambda: world.now, secret=SECRET, limits=limits),
        )
        pat, second = await world.pat(), factors(world)
        app, _ = await set_up(world, second, pat)  # takes one, and a tenth of it is back
        for _ in range(2):
            await refused(second, pat, app.wrong)
        with pytest.raises(RateLimited) as caught:
            await second.verify(pat, app.code, device=None)
        assert 0 < caught.value.retry_after <= 100
        world.now += caught.value.retry_after
        assert await second.verify(pat, app.code, device=None) == "otp"

    tell(tmp_path, story)


def test_setting_up_and_removing_end_the_other_sessions(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world)
        mine, others = b"m" * 32, b"o" * 32
        await a_session(world, pat, mine)
        await a_session(world, pat, others)
        app = App(world, (await second.begin(pat, session=mine)).secret)
        await second.confirm(pat, app.code, by=BY, session=mine)
        assert await live_sessions(world) == [mine]

        await a_session(world, pat, b"n" * 32)
        device = await world.complete(pat)
        trusting = factors(world, trust_for=86_400.0)
        assert await trusting.trust(pat, device)
        await second.remove(pat, BY, keep=mine)
        assert await live_sessions(world) == [mine]
        assert not (await again(world, pat)).second_factor
        assert await second.recovery_codes_left(pat.id) == 0
        assert not await trusting.trusted(pat, device)
        assert [mail["change"] for mail in await world.mails("second_factor_changed")] == ["added", "removed"]
        for change in (second.remove(pat, BY, keep=mine), second.new_recovery_codes(pat, BY)):
            with pytest.raises(AccountError) as caught:
                await change
            assert caught.value.reason == "no_second_factor"

    tell(tmp_path, story)


def test_an_administrators_reset_ends_every_session_and_leads_to_setting_up(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world)
        app, codes = await set_up(world, second, pat)
        await a_session(world, pat, b"m" * 32)
        assert await second.reset(pat.id, Source("cli:root"))
        assert await live_sessions(world) == []
        await refused(second, pat, app.code)
        await refused(second, pat, codes[0])
        event = [row for row in await world.rows(tables.audit_events) if row["kind"] == "second_factor.reset"]
        assert [row["actor"] for row in event] == ["cli:root"]
        assert [mail["change"] for mail in await world.mails("second_factor_changed")] == ["added", "removed"]

        record = SessionRecord(b"", pat.id, 1, 1.0, 1.0, False, "pwd", 1.0, 0.0, "", "")
        assert next_step(record, await again(world, pat), StepPolicy("mandatory")) is Step.SET_UP
        assert (await second.begin(pat, session=SESSION)).secret
        assert not await second.reset(pat.id, BY), "there was only one being set up"

    tell(tmp_path, story)


def test_a_trusted_browser_needs_no_code_for_as_long_as_the_operator_says(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world, trust_for=3600.0)
        await set_up(world, second, pat)
        device = await world.complete(pat)
        assert not await second.trusted(pat, device)
        assert not await second.trust(pat, "a cookie that nobody gave out")
        assert await second.trust(pat, device, by=BY)
        trusted_at = world.now
        sam = await world.users.add("sam@example.com", by=BY)
        assert not await second.trusted(sam, device), "for one account"
        assert not await second.trusted(pat, None)
        world.now = trusted_at + 3599.9
        assert await second.trusted(pat, device)
        assert not await factors(world, trust_for=None).trusted(pat, device), "the operator takes it back"
        assert not await factors(world, trust_for=None).trust(pat, device)
        world.now = trusted_at + 3600.0
        assert not await second.trusted(pat, device)

    tell(tmp_path, story)


def test_with_another_secret_nobody_passes_and_the_operator_learns_why(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        app, codes = await set_up(world, second, pat)
        moved = factors(world, secrets=(OTHER_SECRET,))
        for _ in range(7):
            with pytest.raises(
                SealBroken, match=r"second factor of pat@example.com cannot be decrypted.*reset-2fa"
            ):
                await moved.verify(pat, app.code, device=None)
        assert "account.locked" not in await world.kinds(), "it is not the person's fault"
        assert await moved.verify(pat, codes[0], device=None) == "recovery", "hashes need no secret"
        both = factors(world, secrets=(OTHER_SECRET, SECRET))
        assert await both.verify(pat, app.code, device=None) == "otp"

    tell(tmp_path, story)


def test_no_secret_and_no_code_is_ever_kept_readable(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(email="pat@example.com"), factors(world, trust_for=60.0)
        setup = await second.begin(pat, session=SESSION)
        app = App(world, setup.secret)
        typed = [app.wrong, app.code]
        with pytest.raises(InvalidCode):
            await second.confirm(pat, app.wrong, by=BY, session=SESSION)
        codes = await second.confirm(pat, app.code, by=BY, session=SESSION)
        await refused(second, pat, app.wrong)
        await second.verify(pat, codes[0], device=None)
        canaries = {setup.secret, setup.groups, setup.uri, *codes, *(code.replace("-", "") for code in codes)}

        dump = str([await world.rows(table) for table in tables.metadata.sorted_tables]) + str(
            world.lines.seen
        )
        assert not [canary for canary in canaries if canary in dump]
        events = str([row["details"] for row in await world.rows(tables.audit_events)])
        assert not [code for code in typed if code in events]
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        assert not [canary for canary in canaries if canary.encode() in stored]
        assert setup.secret not in repr(setup)

    tell(tmp_path, story)


def test_locked_disabled_and_wrong_execute_the_same_statements(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat, second = await world.pat(), factors(world)
        sam = await world.users.add("sam@example.com", by=BY)
        app, codes = await set_up(world, second, pat)
        executed: list[str] = []

        @sa.event.listens_for(world.db._durable.sync_engine, "before_cursor_execute")
        def about_to(conn: object, cursor: object, statement: str, *rest: object) -> None:
            executed.append(statement)

        async def statements(user: UserRecord, code: str) -> list[str]:
            executed.clear()
            await refused(second, user, code)
            return list(executed)

        wrong = await statements(pat, app.wrong)
        wrong_recovery = await statements(pat, "0" * 24)
        assert await statements(sam, app.wrong) == wrong, "nothing set up"
        await world.change(sa.update(tables.users).values(locked_at=world.now))
        assert await statements(pat, app.wrong) == wrong
        assert await statements(pat, app.code) == wrong
        assert await statements(pat, codes[0]) == wrong_recovery
        await world.change(sa.update(tables.users).values(disabled=True))
        assert await statements(pat, app.code) == wrong

    tell(tmp_path, story)
