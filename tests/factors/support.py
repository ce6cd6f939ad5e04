"""Second factors on the world of the accounts, and an authenticator app."""

from __future__ import annotations

import pyotp

from gatekeeper.accounts.second_factor import SecondFactorPolicy, SecondFactors
from gatekeeper.accounts.second_factor_reset import SecondFactorReset
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.session import UserRecord
from gatekeeper.factors import totp
from gatekeeper.storage.engine import Database
from tests.accounts.support import BY, SECRET, World

DEVICE = "a device cookie of some browser"
SESSION = b"s" * 32
"""The key of the session in which a second factor is set up."""


def factors(
    world: World,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    trust_for: float | None = None,
    db: Database | None = None,
) -> SecondFactors:
    """Second factors as the server makes them; on `db` as another process would."""
    db = db or world.db

    def clock() -> float:
        return world.now

    return SecondFactors(
        db,
        SecretBox(secrets, totp.PURPOSE),
        SecondFactorPolicy("Back office", trust_for),
        reset=SecondFactorReset(db, world.outbox, world.audit, clock),
        lockout=world.lockout,
        rates=world.rates,
        devices=world.devices,
        clock=clock,
    )


class App:
    """The authenticator app on somebody's phone, whose clock may be `off` by some seconds."""

    def __init__(self, world: World, secret: str, *, off: float = 0.0) -> None:
        self._world = world
        self._totp = pyotp.TOTP(secret)
        self.off = off

    @property
    def code(self) -> str:
        return self._totp.at(self._world.now + self.off)

    @property
    def wrong(self) -> str:
        """A code that is right nowhere near."""
        near = {self._totp.at(self._world.now + step * 30) for step in range(-5, 6)}
        return next(code for code in (f"{number:06}" for number in range(20)) if code not in near)


async def set_up(world: World, second: SecondFactors, user: UserRecord) -> tuple[App, list[str]]:
    """Scan, confirm, and wait for the next code."""
    setup = await second.begin(user, session=SESSION)
    app = App(world, setup.secret)
    codes = await second.confirm(user, app.code, by=BY, session=SESSION)
    world.now += 30
    return app, codes
