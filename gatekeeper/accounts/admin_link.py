"""The one-time administrator link: how the first administrator gets in. Closes for ever once used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gatekeeper.accounts import tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord
from gatekeeper.storage.locks import hold_name
from gatekeeper.storage.tables import facts

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.users import Users
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.storage.engine import Database

ROLE = "gatekeeper-admin"
"""The role of the account that the link makes."""
LIFETIME = 24 * 3600.0
"""Seconds that a link is valid after the start that issued it."""
_PURPOSE = "administrator-link"
_CLOSED = "administrator_link_used"


class AdministratorLink:
    """Issued at each start until it was used; a newer one replaces the older."""

    def __init__(self, db: Database, users: Users, audit: AuditLog, clock: Clock) -> None:
        self._db = db
        self._users = users
        self._audit = audit
        self._clock = clock

    async def issue(self) -> str | None:
        """The token for a new link, valid for `LIFETIME`; None once a link was used. `StoreUnavailable`."""
        async with self._db.begin() as conn:
            await hold_name(conn, _PURPOSE)
            if await _closed(conn):
                return None
            token = await tokens.issue(conn, _PURPOSE, lifetime=LIFETIME, now=self._clock())
            await self._audit.record(
                EventKind.ADMINISTRATOR_LINK_ISSUED,
                actor="system",
                details={"valid_for_seconds": int(LIFETIME)},
                conn=conn,
            )
            return token

    async def valid(self, token: str) -> bool:
        """Whether `token` could be redeemed now; consumes nothing. Raises `StoreUnavailable`."""
        async with self._db.read() as conn:
            return await tokens.valid(conn, _PURPOSE, token, self._clock()) and not await _closed(conn)

    async def open(self) -> bool:
        """Whether there is a link that could be redeemed, for a page that is shown before it is known
        which one somebody has. Raises `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            return await tokens.outstanding(conn, _PURPOSE, self._clock()) and not await _closed(conn)

    async def redeem(
        self,
        token: str,
        login: str,
        name: str,
        email: str,
        password: str,
        *,
        client: str = "",
        request_id: str = "",
    ) -> UserRecord:
        """Make the first administrator's account and close the link, both or neither.

        Raises `AccountError` (`link_closed`; the reasons of `Users.add`, after which the link still works),
        `Overloaded`, `StoreUnavailable`. Of any number of attempts in parallel one succeeds.
        """
        try:
            return await self._redeem(token, login, name, email, password, client, request_id)
        except AccountError as error:
            if error.reason == "link_closed":
                await self._audit.record(
                    EventKind.ADMINISTRATOR_LINK_REFUSED, client=client, request_id=request_id
                )
            raise

    async def _redeem(
        self, token: str, login: str, name: str, email: str, password: str, client: str, request_id: str
    ) -> UserRecord:
        if not await self.valid(token):  # nobody without the link makes us hash
            raise _link_closed()
        new = await self._users.prepare(login, name=name, email=email, roles=(ROLE,), password=password)
        async with self._db.begin() as conn:
            now = self._clock()
            await hold_name(conn, _PURPOSE)
            if not await tokens.use_nobodys(conn, _PURPOSE, token, now):
                raise _link_closed()
            await _close(conn, now)
            user = await self._users.insert(conn, new, by=Source(new.login, client, request_id))
            await self._audit.record(
                EventKind.ADMINISTRATOR_LINK_USED,
                user_id=user.id,
                login=user.login,
                actor=user.login,
                client=client,
                request_id=request_id,
                conn=conn,
            )
            return user


def _link_closed() -> AccountError:
    return AccountError("link_closed", "the administrator link is used, expired, replaced or unknown")


async def _close(conn: AsyncConnection, now: float) -> None:
    """Close for ever. Should two links ever be redeemed at once, the primary key decides who was first."""
    try:
        await conn.execute(sa.insert(facts).values(name=_CLOSED, value="yes", at=now))
    except IntegrityError as error:
        raise _link_closed() from error


async def _closed(conn: AsyncConnection) -> bool:
    query = sa.select(sa.literal(1)).select_from(facts).where(facts.c.name == _CLOSED)
    return (await conn.execute(query)).first() is not None
