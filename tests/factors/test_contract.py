"""What every second factor that is typed in promises (`factors.protocol`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pyotp
import pytest

from gatekeeper.core.secretbox import SecretBox
from gatekeeper.factors.protocol import Outcome, SecondFactor
from gatekeeper.factors.recovery import RecoveryCodes
from gatekeeper.factors.totp import Totp
from tests.accounts.support import BY, LOGIN, SECRET, World, tell
from tests.factors.support import SESSION

OTHER = "sam@example.com"


class Subject(NamedTuple):
    """A factor, set up for one account, and a right code for it."""

    factor: SecondFactor
    code: str
    wrong: str


async def a_totp(world: World, user_id: int) -> Subject:
    factor = Totp(SecretBox([SECRET], "totp"))
    async with world.db.begin() as conn:
        secret = await factor.begin(conn, user_id, world.now, session=SESSION)
        assert secret is not None
        app = pyotp.TOTP(secret)
        assert await factor.confirm(conn, user_id, app.at(world.now), world.now, session=SESSION)
    world.now += 30
    near = {app.at(world.now + step) for step in (-30, 0, 30)}
    wrong = next(code for code in ("000000", "000001", "000002", "000003") if code not in near)
    return Subject(factor, app.at(world.now), wrong)


async def a_recovery_code(world: World, user_id: int) -> Subject:
    factor = RecoveryCodes()
    async with world.db.begin() as conn:
        codes = await factor.renew(conn, user_id, world.now)
    return Subject(factor, codes[3], "0" * 24)


Make = Callable[[World, int], Awaitable[Subject]]
every_factor = pytest.mark.parametrize("make", [a_totp, a_recovery_code])


async def tried(
    world: World, factor: SecondFactor, user_id: int, code: str, *, usable: bool = True
) -> Outcome:
    async with world.db.begin() as conn:
        return await factor.accept(conn, user_id, code, world.now, usable=usable)


@every_factor
def test_a_code_is_accepted_once(tmp_path: Path, make: Make) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        subject = await make(world, pat.id)
        assert subject.factor.claims(subject.code)
        assert await tried(world, subject.factor, pat.id, subject.wrong) is Outcome.WRONG
        assert await tried(world, subject.factor, pat.id, subject.code) is Outcome.ACCEPTED
        assert await tried(world, subject.factor, pat.id, subject.code) is Outcome.USED

    tell(tmp_path, story)


@every_factor
def test_a_code_that_may_not_be_used_stays_unused(tmp_path: Path, make: Make) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        subject = await make(world, pat.id)
        assert await tried(world, subject.factor, pat.id, subject.code, usable=False) is Outcome.USED
        assert await tried(world, subject.factor, pat.id, subject.code) is Outcome.ACCEPTED

    tell(tmp_path, story)


@every_factor
def test_a_code_is_one_accounts_alone(tmp_path: Path, make: Make) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        sam = await world.users.add(OTHER, by=BY)
        subject = await make(world, pat.id)
        await make(world, sam.id)
        assert pat.login == LOGIN
        world.now -= 30  # sam was set up later
        assert await tried(world, subject.factor, sam.id, subject.code) is Outcome.WRONG
        assert await tried(world, subject.factor, 4711, subject.code) is Outcome.WRONG
        assert await tried(world, subject.factor, pat.id, subject.code) is Outcome.ACCEPTED

    tell(tmp_path, story)


@every_factor
def test_a_rollback_gives_the_code_back(tmp_path: Path, make: Make) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        subject = await make(world, pat.id)
        with pytest.raises(ZeroDivisionError):
            async with world.db.begin() as conn:
                await subject.factor.accept(conn, pat.id, subject.code, world.now)
                raise ZeroDivisionError
        assert await tried(world, subject.factor, pat.id, subject.code) is Outcome.ACCEPTED

    tell(tmp_path, story)
