"""How often something may be tried: per client network, per account, and in all. ASVS 5.0 V6.3.1.

Each limit is a bucket that holds some attempts and fills again evenly over a period (GCRA: one number a
bucket). A bucket is a row that one statement checks and changes, so every process counts the same. What
the database refused is remembered until it can be otherwise: a flood of attempts is not one of transactions.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.networks import network_of
from gatekeeper.core.users import login_key
from gatekeeper.storage.locks import insert
from gatekeeper.storage.tables import rates

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog
    from gatekeeper.core.session import UserRecord

_MAILED_LINK = b"mailed link"
"""Stands for the browser of whoever holds a mailed link; the key of a real one is a hash."""
_SWEEP_EVERY = 256
"""Attempts between two sweeps of buckets that are full again."""
_REMEMBERED = 4096
"""Empty buckets that are remembered."""


class Attempt(StrEnum):
    """What is tried. The values go into the audit log."""

    PASSWORD = "password"  # noqa: S105 - a name, not a secret
    CODE = "code"
    MAIL = "mail"
    """A mail that somebody asks for without being signed in."""
    PROVIDER = "provider"
    """Coming back from an identity provider with a code that must be redeemed there."""


class Rate(NamedTuple):
    """`attempts` at once, and as many again evenly spread over `period` seconds."""

    attempts: int
    period: float


class Limits(NamedTuple):
    """For one kind of attempt; None is no limit."""

    client: Rate | None
    """For one IPv4 address or one IPv6 /64."""
    account: Rate | None
    """For one login, whether it exists or not; also for one browser that is known to the account."""
    total: Rate | None
    """For everybody together."""


DEFAULTS: Mapping[Attempt, Limits] = {
    Attempt.PASSWORD: Limits(Rate(50, 300.0), Rate(20, 300.0), Rate(600, 60.0)),
    Attempt.CODE: Limits(Rate(50, 300.0), Rate(10, 300.0), Rate(600, 60.0)),
    Attempt.MAIL: Limits(Rate(20, 600.0), Rate(5, 3_600.0), Rate(300, 600.0)),
    Attempt.PROVIDER: Limits(Rate(50, 300.0), None, Rate(600, 60.0)),
}


class Rates:
    """Counts attempts in the caller's transaction."""

    def __init__(
        self,
        audit: AuditLog,
        clock: Clock,
        *,
        secret: str,
        limits: Mapping[Attempt, Limits] = DEFAULTS,
    ) -> None:
        """`secret` keys the hash: people type passwords into the login field, which must not be kept."""
        self._audit = audit
        self._clock = clock
        self._key = hashlib.sha256(b"gatekeeper rates " + secret.encode("utf-8")).digest()
        self._limits = limits
        self._taken = 0
        self._empty: dict[bytes, float] = {}
        """Until when (epoch seconds) a bucket holds none: nothing but time fills it, in whatever process."""

    def check(self, what: Attempt, *, account: str, client: str = "", device: bytes | None = None) -> None:
        """Raise `RateLimited` where `take` did and still must. Counts nothing and asks no database."""
        now = self._clock()
        for scope, rate, subject in self._wanted(what, account, client, device):
            if rate is None:
                continue
            bucket = self._bucket(what, scope, subject)
            wait = self._empty.get(bucket, now) - now
            if 0.0 < wait <= rate.period:  # longer only when the clock was set back: the database knows how
                raise RateLimited(max(1, math.ceil(wait)))

    async def take(
        self,
        conn: AsyncConnection,
        what: Attempt,
        *,
        account: str,
        client: str = "",
        device: bytes | None = None,
        request_id: str = "",
    ) -> None:
        """Count one attempt of the kind `what`.

        `account` is how the caller names it (a login key, whether it exists or not). `device` is given for a
        browser that is known to the account: it has a limit of its own and no other, so that nobody's
        attempts elsewhere keep the owner out. Raises `RateLimited`, `StoreUnavailable`; the caller lets
        `RateLimited` end its transaction, so that an attempt that was refused counts nowhere.
        """
        now = self._clock()
        await self._sweep(conn, now)
        reached = [
            scope
            for scope, rate, subject in self._wanted(what, account, client, device)
            if rate is not None and await self._take(conn, self._bucket(what, scope, subject), rate, now)
        ]
        if reached:
            await self._audit.record(
                EventKind.RATE_LIMITED,
                client=client,
                request_id=request_id,
                details={"what": what.value, "scopes": reached},
                conn=conn,
            )

    def _wanted(
        self, what: Attempt, account: str, client: str, device: bytes | None
    ) -> list[tuple[str, Rate | None, str]]:
        """The buckets that an attempt takes from: scope, rate, and whose."""
        limits = self._limits[what]
        if device is not None:
            return [("device", limits.account, device.hex() + account)]
        return [
            ("total", limits.total, ""),
            ("client", limits.client, network_of(client)),
            ("account", limits.account, account),
        ]

    async def take_with_link(
        self, conn: AsyncConnection, user: UserRecord, *, client: str, request_id: str
    ) -> None:
        """Count one new password that is chosen with a mailed link.

        Judging it costs hashes. Who holds the link proved more than who asks for sign-in, and has a limit of
        their own, so that nobody's attempts to sign in keep them from it. Raises as `take`.
        """
        await self.take(
            conn,
            Attempt.PASSWORD,
            account=login_key(user.login),
            client=client,
            device=_MAILED_LINK,
            request_id=request_id,
        )

    async def _take(self, conn: AsyncConnection, bucket: bytes, rate: Rate, now: float) -> bool:
        """Take one; whether it was the last for now. Raises `RateLimited`."""
        cost = rate.period / rate.attempts
        latest = now + rate.period
        # More than a whole bucket can only be missing when the clock was set back or the limit changed: then
        # the bucket is taken for empty from now on, or it would stay so for as long as the clock went back.
        filled = sa.case(
            (rates.c.full_at > latest + cost / 1e6, latest),
            else_=sa.case((rates.c.full_at > now, rates.c.full_at), else_=now) + cost,
        )
        statement = (
            insert(conn, rates)
            .values(bucket=bucket, full_at=now + cost)
            .on_conflict_do_update(
                index_elements=[rates.c.bucket],
                set_={"full_at": filled},
                where=filled <= latest + cost / 1e6,
            )
            .returning(rates.c.full_at)
        )
        full_at = (await conn.execute(statement)).scalar_one_or_none()
        if full_at is None:
            wait = await self._wait(conn, bucket, latest - cost)
            self._remember(bucket, now, now + wait)
            raise RateLimited(max(1, math.ceil(wait)))
        return bool(full_at > latest - cost)

    async def _wait(self, conn: AsyncConnection, bucket: bytes, free_at: float) -> float:
        """Seconds until the bucket holds one again."""
        query = sa.select(rates.c.full_at).where(rates.c.bucket == bucket)
        full_at: float = (await conn.execute(query)).scalar_one()
        return full_at - free_at

    def _remember(self, bucket: bytes, now: float, until: float) -> None:
        if len(self._empty) >= _REMEMBERED:
            self._empty = {known: then for known, then in self._empty.items() if then > now}
        while len(self._empty) >= _REMEMBERED:
            del self._empty[next(iter(self._empty))]
        self._empty[bucket] = until

    async def _sweep(self, conn: AsyncConnection, now: float) -> None:
        self._taken += 1
        if self._taken % _SWEEP_EVERY == 0:
            full = sa.select(rates.c.bucket).where(rates.c.full_at <= now).with_for_update(skip_locked=True)
            await conn.execute(sa.delete(rates).where(rates.c.bucket.in_(full)))

    def _bucket(self, what: Attempt, scope: str, subject: str) -> bytes:
        text = f"{what.value} {scope} {subject}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256")[:16]
