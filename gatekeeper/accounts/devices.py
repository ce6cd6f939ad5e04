"""Browsers that have signed in to an account before, known by a cookie. The store holds SHA-256 of it."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.core.clock import Clock
from gatekeeper.storage.tables import devices

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_RANDOM_BYTES = 32
MAX_PER_USER = 50
"""Browsers remembered for one account; the ones unused for longest are forgotten."""
COOKIE_LIFETIME = 400 * 86_400.0
"""Seconds that a browser may keep the cookie (RFC 6265bis section 5.5 allows no more), and we its row."""


class Devices:
    """The known browsers of all accounts. Everything happens in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def remember(
        self, conn: AsyncConnection, user_id: int, cookie: str | None, user_agent: str
    ) -> tuple[str, bool]:
        """Know the browser that holds `cookie` as one of this account's: its cookie from now on, and whether
        it was new.

        A browser that is new to the account gets a new cookie, and the accounts that knew it by the old one
        know it by the new one: a value that somebody else planted there is worth nothing afterwards.
        """
        now = self._clock()
        if cookie is not None:
            seen = await conn.execute(
                sa.update(devices)
                .where(devices.c.hash == digest(cookie), devices.c.user_id == user_id)
                .values(last_used_at=now, user_agent=user_agent)
            )
            if seen.rowcount == 1:
                return cookie, False
        fresh = secrets.token_urlsafe(_RANDOM_BYTES)
        if cookie is not None:
            await conn.execute(
                sa.update(devices).where(devices.c.hash == digest(cookie)).values(hash=digest(fresh))
            )
        await conn.execute(
            sa.insert(devices).values(
                hash=digest(fresh), user_id=user_id, created_at=now, last_used_at=now, user_agent=user_agent
            )
        )
        await self._forget_oldest(conn, user_id, now)
        return fresh, True

    async def known(self, conn: AsyncConnection, user_id: int | None, cookie: str | None) -> bool:
        """Whether the browser with `cookie` has signed in to this account before."""
        return await self.find(conn, user_id, cookie) is not None

    async def find(self, conn: AsyncConnection, user_id: int | None, cookie: str | None) -> bytes | None:
        """The key of that browser, None when it is not known. One statement, whoever asks."""
        query = sa.select(devices.c.hash).where(_is(user_id, cookie))
        return (await conn.execute(query)).scalar_one_or_none()

    async def trust(self, conn: AsyncConnection, user_id: int, cookie: str | None, until: float) -> bool:
        """Ask no code of this browser until then; False when it is not known to the account."""
        done = await conn.execute(sa.update(devices).where(_is(user_id, cookie)).values(trusted_until=until))
        return done.rowcount == 1

    async def trusted(self, conn: AsyncConnection, user_id: int, cookie: str | None, now: float) -> bool:
        """Whether this browser needs no code at `now`."""
        query = sa.select(sa.literal(1)).where(_is(user_id, cookie), devices.c.trusted_until > now)
        return (await conn.execute(query)).first() is not None

    async def forget_all(self, conn: AsyncConnection, user_id: int) -> None:
        """Know no browser of this account any more, and trust none."""
        await conn.execute(sa.delete(devices).where(devices.c.user_id == user_id))

    async def _forget_oldest(self, conn: AsyncConnection, user_id: int, now: float) -> None:
        kept = (
            sa.select(devices.c.hash)
            .where(devices.c.user_id == user_id, devices.c.last_used_at > now - COOKIE_LIFETIME)
            .order_by(devices.c.last_used_at.desc(), devices.c.created_at.desc())
            .limit(MAX_PER_USER)
        )
        await conn.execute(
            sa.delete(devices).where(devices.c.user_id == user_id, devices.c.hash.not_in(kept))
        )


def digest(cookie: str) -> bytes:
    """How a cookie is stored; long and random, so a fast hash is enough."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


def _is(user_id: int | None, cookie: str | None) -> sa.ColumnElement[bool]:
    # No account has the id -1 and no cookie is empty: who has none is asked for like everybody else.
    return sa.and_(
        devices.c.hash == digest(cookie or ""), devices.c.user_id == (-1 if user_id is None else user_id)
    )
