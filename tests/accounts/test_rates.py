"""Rate limits: how often something may be tried, for whom, and when again. Time is an argument."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.rates import DEFAULTS, Attempt, Limits, Rate, Rates
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.networks import network_of
from gatekeeper.settings import make_settings
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, OTHER_PASSWORD, PASSWORD, SECRET, World, tell


def rates(w: World, **limits: Rate) -> Rates:
    """Limits on passwords alone."""
    chosen = Limits(limits.get("client"), limits.get("account"), limits.get("total"))
    return Rates(w.audit, lambda: w.now, secret=SECRET, limits={Attempt.PASSWORD: chosen})


async def take(
    w: World, limit: Rates, *, account: str = "pat", client: str = "192.0.2.1", device: bytes | None = None
) -> int:
    """0 when the attempt may be made, else the seconds to wait."""
    try:
        async with w.db.begin() as conn:
            await limit.take(conn, Attempt.PASSWORD, account=account, client=client, device=device)
    except RateLimited as error:
        return error.retry_after
    return 0


@pytest.mark.databases
def test_so_many_at_once_and_then_one_at_a_time(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, client=Rate(10, 60.0))
        assert [await take(w, limit) for _ in range(12)] == [0] * 10 + [6, 6]
        w.now += 5.9
        assert await take(w, limit) == 1
        w.now += 0.1
        assert [await take(w, limit) for _ in range(2)] == [0, 6]
        w.now += 3600.0  # rest is not saved up
        assert [await take(w, limit) for _ in range(11)] == [0] * 10 + [6]

    tell(tmp_path, story)


def test_after_the_time_it_was_told_a_client_may_try_again(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, client=Rate(3, 100.0))
        for _ in range(20):
            wait = await take(w, limit)
            w.now += wait
            assert wait == 0 or await take(w, limit) == 0

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("client", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("", "unix:", "192.0.2.1"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(
    tmp_path: Path, client: str, same: str, other: str
) -> None:
    assert network_of(client) == network_of(same) != network_of(other)

    async def story(w: World) -> None:
        limit = rates(w, client=Rate(1, 60.0))
        assert await take(w, limit, client=client) == 0
        assert await take(w, limit, client=same, account="another") > 0
        assert await take(w, limit, client=other) == 0

    tell(tmp_path, story)


def test_accounts_and_everybody_have_limits_of_their_own(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, account=Rate(2, 60.0), total=Rate(4, 60.0))
        clients = [f"192.0.2.{number}" for number in range(9)]
        assert [await take(w, limit, client=client) for client in clients[:3]] == [0, 0, 30]
        assert [await take(w, limit, account="sam", client=clients[4]) for _ in range(2)] == [0, 0]
        assert await take(w, limit, account="kim", client=clients[5]) == 15

    tell(tmp_path, story)


@pytest.mark.databases
def test_what_was_refused_counts_nowhere(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, account=Rate(1, 60.0), total=Rate(5, 60.0))
        for _ in range(50):
            await take(w, limit)
        assert [await take(w, limit, account=f"other {n}") for n in range(5)] == [0, 0, 0, 0, 12]

    tell(tmp_path, story)


def test_a_known_browser_is_held_to_its_own_count_alone(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, client=Rate(1, 60.0), account=Rate(2, 60.0), total=Rate(1, 60.0))
        for _ in range(20):
            await take(w, limit)
        assert [await take(w, limit, device=b"d" * 32) for _ in range(3)] == [0, 0, 30]

    tell(tmp_path, story)


@pytest.mark.databases
def test_parallel_attempts_are_counted_one_by_one(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, client=Rate(20, 60.0))
        waits = await asyncio.gather(*(take(w, limit) for _ in range(60)))
        assert waits.count(0) == 20

    tell(tmp_path, story)


@pytest.mark.databases
def test_a_clock_set_back_keeps_nobody_out_for_longer_than_the_period(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, client=Rate(2, 60.0))
        for _ in range(3):
            await take(w, limit)
        w.now -= 86_400.0
        assert [await take(w, limit) for _ in range(2)] == [0, 30], "one to begin with, then as ever"

    tell(tmp_path, story)


def test_reaching_a_limit_is_in_the_audit_log_and_what_was_typed_is_nowhere(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, account=Rate(2, 60.0))
        for _ in range(9):
            await take(w, limit, account="a password in the wrong field")
        (row,) = [row for row in await w.rows(tables.audit_events) if row["kind"] == "rate_limited"]
        assert row["details"] == {"what": "password", "scopes": ["account"]}
        assert "wrong field" not in repr(await w.rows(tables.rates)) + repr(w.lines.seen)

    tell(tmp_path, story)


@pytest.mark.databases
def test_full_buckets_are_swept_away(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit = rates(w, account=Rate(2, 60.0))
        for number in range(300):
            w.now += 60.0
            await take(w, limit, account=f"{number}")
        assert len(await w.rows(tables.rates)) < 100

    tell(tmp_path, story)


def test_sign_in_is_limited_the_same_whether_the_account_exists_or_not(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        device = await w.complete(pat)
        w.use(rates=rates(w, account=Rate(3, 30.0)))
        waits = []
        for login in (LOGIN, "nobody@example.com"):
            for _ in range(3):
                with pytest.raises(InvalidCredentials):
                    await w.sign_in.password(login, OTHER_PASSWORD)
            with pytest.raises(RateLimited) as caught:
                await w.sign_in.password(login, PASSWORD)
            waits.append(caught.value.retry_after)
        assert waits == [10, 10]
        assert await w.sign_in.password(LOGIN, PASSWORD, device=device)

    tell(tmp_path, story)


def test_a_refused_attempt_reserves_and_verifies_nothing(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        w.use(rates=rates(w, client=Rate(1, 60.0)))
        with pytest.raises(InvalidCredentials):
            await w.sign_in.password(LOGIN, OTHER_PASSWORD)
        for _ in range(20):
            with pytest.raises(RateLimited):
                await w.sign_in.password(LOGIN, OTHER_PASSWORD)
        account = (await w.rows(tables.users))[0]
        assert (account["failures"], account["pending"], len(w.hasher.verified)) == (1, 0, 1)

    tell(tmp_path, story)


def test_a_flood_that_is_refused_takes_no_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(w: World) -> None:
        device = await w.complete(await w.pat())
        w.use(rates=rates(w, client=Rate(2, 60.0), account=Rate(3, 60.0)))

        async def attempt(cookie: str | None) -> int:
            with pytest.raises(RateLimited) as caught:
                await w.sign_in.password(LOGIN, OTHER_PASSWORD, device=cookie, client="192.0.2.1")
            return caught.value.retry_after

        for _ in range(2):
            with pytest.raises(InvalidCredentials):
                await w.sign_in.password(LOGIN, OTHER_PASSWORD, client="192.0.2.1")
        assert await attempt(None) == 30
        with monkeypatch.context() as watched:
            watched.setattr(w.db, "begin", None)
            w.now += 10.0
            assert [await attempt(cookie) for cookie in (None, "", "made up")] == [20, 20, 20]
        for _ in range(3):  # the owner's browser has a limit of its own, remembered in the same way
            with pytest.raises(InvalidCredentials):
                await w.sign_in.password(LOGIN, OTHER_PASSWORD, device=device, client="192.0.2.1")
        assert await attempt(device) == 20
        with monkeypatch.context() as watched:
            watched.setattr(w.db, "begin", None)
            assert await attempt(device) == 20
        w.now += 20.0
        with pytest.raises(InvalidCredentials):
            await w.sign_in.password(LOGIN, OTHER_PASSWORD, client="192.0.2.1")

    tell(tmp_path, story)


def test_what_is_remembered_is_never_more_than_the_database_said(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        limit, other = rates(w, client=Rate(2, 60.0)), rates(w, client=Rate(2, 60.0))

        def check(limit: Rates) -> int:
            try:
                limit.check(Attempt.PASSWORD, account="pat", client="192.0.2.1")
            except RateLimited as error:
                return error.retry_after
            return 0

        for _ in range(2):
            await take(w, limit)
        assert check(limit) == 0, "it holds none, but nobody was refused yet"
        assert await take(w, other) == 30
        assert (check(limit), check(other)) == (0, 30), "another process remembers for itself"
        w.now += 29.9
        assert check(other) == 1
        w.now += 0.1
        assert (check(other), await take(w, other)) == (0, 0)
        await take(w, other)
        w.now -= 86_400.0
        assert (check(other), await take(w, other)) == (0, 0), "after the clock was set back, too"

    tell(tmp_path, story)


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.accounts.rates._REMEMBERED", 5)

    async def story(w: World) -> None:
        limit = rates(w, account=Rate(1, 60.0))
        for number in range(20):
            await take(w, limit, account=f"{number}")
            assert await take(w, limit, account=f"{number}") == 60
        assert len(limit._empty) == 5

    tell(tmp_path, story)


def test_the_documented_defaults_are_the_ones_in_force() -> None:
    from gatekeeper.build.values import make_rate_limits

    settings = make_settings(
        {"public_url": "https://app.example.com", "upstream": "http://127.0.0.1:3000"}, create=False
    )
    assert make_rate_limits(settings) == DEFAULTS
