"""Lockout: a few wrong passwords or codes close an account until it is unlocked. ASVS 5.0 V6.3.1.

An attempt is reserved before anything is verified, and settled afterwards. One statement reserves it, and
only while what failed and what is under way are together below the limit: no number of attempts in parallel
gets more of them verified. What failed is forgotten only by a complete sign-in.

A browser that is known to the account counts for itself: strangers cannot spend its attempts, and only its
own shut it out. Its lock closes the account to unknown browsers as well, because whoever sits there knew
neither password nor code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.accounts import rows, tokens
from gatekeeper.accounts.notices import moment
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.locks import hold_user
from gatekeeper.storage.tables import devices, users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.devices import Devices
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox

PURPOSE = "unlock"
"""Of the token in the mail."""
LINK_LIFETIME = 86_400.0
"""Seconds."""
ABANDONED = 60.0
"""Seconds after which an attempt under way counts as failed: whoever verified it has died."""
_NOBODY = -1


class LockoutPolicy(NamedTuple):
    """What the operator wants. `unlock_after` in seconds; None keeps the lock until somebody unlocks."""

    attempts: int = 5
    unlock_after: float | None = None


class Ticket(NamedTuple):
    """One attempt under way, to be settled by `failed` or `passed`."""

    user_id: int
    device: bytes | None
    """The known browser that it counts for; None: it counts for the account."""


class Lockout:
    """Counts attempts. Everything happens in the caller's transaction and raises `StoreUnavailable`."""

    def __init__(
        self,
        policy: LockoutPolicy,
        clock: Clock,
        *,
        devices: Devices,
        audit: AuditLog,
        outbox: Outbox,
        links: Links,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._devices = devices
        self._audit = audit
        self._outbox = outbox
        self._links = links

    async def reserve(
        self, conn: AsyncConnection, user_id: int | None, device_cookie: str | None
    ) -> Ticket | None:
        """Count an attempt in advance; None when locked: then verify a dummy, and settle None.

        Commit before verifying. Without an account (`user_id` None) the same statements find nothing.
        """
        now = self._clock()
        ticket = Ticket(
            _NOBODY if user_id is None else user_id,
            await self._devices.find(conn, user_id, device_cookie),
        )
        await hold_user(conn, ticket.user_id)
        await self._count_abandoned(conn, ticket, now)
        table, is_it = _place(ticket)
        below = table.c.failures + table.c.pending < self._policy.attempts
        over = sa.and_(self._over(table, now), table.c.pending < self._policy.attempts)
        reserved = await conn.execute(
            sa.update(table)
            .where(is_it, sa.or_(sa.and_(table.c.locked_at.is_(None), below), over))
            .values(
                failures=sa.case((table.c.locked_at.is_(None), table.c.failures), else_=0),
                locked_at=None,
                pending=table.c.pending + 1,
                pending_at=now,
            )
        )
        return ticket if reserved.rowcount == 1 else None

    async def failed(
        self, conn: AsyncConnection, ticket: Ticket | None, *, client: str = "", request_id: str = ""
    ) -> bool:
        """The attempt was wrong; whether that locked the account or the browser.

        Locking mails a link to unlock, once. For None the same statements change nothing.
        """
        ticket = ticket or Ticket(_NOBODY, None)
        await self._settle(conn, ticket, failures=1)
        return await self._lock(conn, ticket, client=client, request_id=request_id)

    async def passed(self, conn: AsyncConnection, ticket: Ticket) -> None:
        """The attempt was right, or was not verified after all: it does not count.

        Earlier failures stay until the sign-in is complete, so that nobody who knows the password can guess
        codes for ever.
        """
        await self._settle(conn, ticket, failures=0)

    async def locked(self, conn: AsyncConnection, user_id: int, device_cookie: str | None) -> bool:
        """Whether this browser may not go on with this account (which may have been deleted: True)."""
        ticket = Ticket(user_id, await self._devices.find(conn, user_id, device_cookie))
        table, is_it = _place(ticket)
        free = sa.or_(table.c.locked_at.is_(None), self._over(table, self._clock()))
        return (await conn.execute(sa.select(sa.literal(1)).where(is_it, free))).first() is None

    async def completed(self, conn: AsyncConnection, user_id: int, device_cookie: str | None) -> None:
        """The sign-in is complete: forget what failed where it was counted, for this browser or the account.

        Does not open a lock, and a known browser's sign-in leaves the strangers' count as it is.
        """
        ticket = Ticket(user_id, await self._devices.find(conn, user_id, device_cookie))
        table, is_it = _place(ticket)
        free = sa.or_(table.c.locked_at.is_(None), self._over(table, self._clock()))
        await conn.execute(sa.update(table).where(is_it, free).values(failures=0, locked_at=None))

    async def unlock(self, conn: AsyncConnection, user_id: int, by: Source) -> bool:
        """Open the account to every browser and forget what failed; False when nothing was locked.

        Links mailed for this lock stop working.
        """
        return await unlock(conn, user_id, by, self._audit)

    async def _settle(self, conn: AsyncConnection, ticket: Ticket, *, failures: int) -> None:
        await hold_user(conn, ticket.user_id)
        table, is_it = _place(ticket)
        await conn.execute(
            sa.update(table)
            .where(is_it)
            .values(
                failures=table.c.failures + failures,
                pending=sa.case((table.c.pending > 0, table.c.pending - 1), else_=0),
            )
        )

    async def _lock(self, conn: AsyncConnection, ticket: Ticket, *, client: str, request_id: str) -> bool:
        """Lock when enough failed. Of any number of callers one gets True, and that one tells the owner."""
        now = self._clock()
        table, is_it = _place(ticket)
        enough = sa.and_(table.c.failures >= self._policy.attempts, table.c.locked_at.is_(None))
        done = await conn.execute(sa.update(table).where(is_it, enough).values(locked_at=now))
        if done.rowcount != 1:
            return False
        if ticket.device is not None:
            await conn.execute(
                sa.update(users)
                .where(users.c.id == ticket.user_id, users.c.locked_at.is_(None))
                .values(locked_at=now)
            )
        user = await rows.locked_user(conn, ticket.user_id)
        token = await tokens.issue(conn, PURPOSE, user_id=user.id, lifetime=LINK_LIFETIME, now=now)
        values = {"link": self._links.unlock(token), "when": moment(now)}
        if client:
            values["client"] = client
        mailed = await self._outbox.post(
            conn, MailKind.LOCKED, user=user, values=values, expires_at=now + LINK_LIFETIME
        )
        await self._audit.record(
            EventKind.ACCOUNT_LOCKED,
            user_id=user.id,
            login=user.login,
            actor="system",
            client=client,
            request_id=request_id,
            details={"known_browser": ticket.device is not None, "mailed": mailed},
            conn=conn,
        )
        return True

    async def _count_abandoned(self, conn: AsyncConnection, ticket: Ticket, now: float) -> None:
        table, is_it = _place(ticket)
        counted = await conn.execute(
            sa.update(table)
            .where(is_it, table.c.pending > 0, table.c.pending_at <= now - ABANDONED)
            .values(failures=table.c.failures + table.c.pending, pending=0)
        )
        if counted.rowcount == 1:
            await self._lock(conn, ticket, client="", request_id="")

    def _over(self, table: sa.Table, now: float) -> sa.ColumnElement[bool]:
        """Whether a lock has lasted as long as it should. A clock set back only makes it longer."""
        if self._policy.unlock_after is None:
            return sa.false()
        return table.c.locked_at <= now - self._policy.unlock_after


async def unlock(conn: AsyncConnection, user_id: int, by: Source, audit: AuditLog) -> bool:
    """See `Lockout.unlock`; for whoever has no lockout at hand."""
    locked = False
    await hold_user(conn, user_id)
    for table, is_it in ((users, users.c.id == user_id), (devices, devices.c.user_id == user_id)):
        opened = await conn.execute(
            sa.update(table).where(is_it, table.c.locked_at.is_not(None)).values(locked_at=None)
        )
        locked = locked or opened.rowcount > 0
        await conn.execute(sa.update(table).where(is_it).values(failures=0))
    await tokens.withdraw(conn, PURPOSE, user_id=user_id)
    if locked:
        user = await rows.locked_user(conn, user_id)
        await audit.record(
            EventKind.ACCOUNT_UNLOCKED,
            user_id=user.id,
            login=user.login,
            actor=by.actor,
            client=by.client,
            request_id=by.request_id,
            conn=conn,
        )
    return locked


def _place(ticket: Ticket) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    """Where a ticket is counted: the account's row or the browser's."""
    if ticket.device is None:
        return users, users.c.id == ticket.user_id
    return devices, sa.and_(devices.c.hash == ticket.device, devices.c.user_id == ticket.user_id)
