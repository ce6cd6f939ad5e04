"""Taking second factors away, and requiring them of one account: what an administrator can do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.accounts import rows
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.revocations import revoke_user, user_changed
from gatekeeper.storage.tables import devices, recovery_codes, totp, users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog, Detail
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database

MANDATORY = "mandatory"
"""In `users.two_factor`."""


class SecondFactorReset:
    """Needs no secret: what it takes away it never reads."""

    def __init__(self, db: Database, outbox: Outbox, audit: AuditLog, clock: Clock) -> None:
        self._db = db
        self._outbox = outbox
        self._audit = audit
        self._clock = clock

    async def reset(self, user_id: int, by: Source) -> bool:
        """Take the second factor and the recovery codes away, trust no browser and end every session.

        For somebody who lost their phone and their codes; the caller made sure that it is that person.
        False when nothing was set up (sessions go on then). Raises `AccountError` `unknown_user`,
        `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            if not await self.forget(conn, user_id):
                return False
            await revoke_user(conn, user_id, self._clock())
            await self.tell(conn, EventKind.SECOND_FACTOR_RESET, user, by, change="removed")
        return True

    async def require(self, user_id: int, required: bool, by: Source) -> bool:
        """Make a second factor mandatory for one account, or leave it to the configuration again.

        False when it was so already. Sessions without one are led to the set-up page at their next request.
        Raises `AccountError` `unknown_user`, `StoreUnavailable`.
        """
        wanted = MANDATORY if required else ""
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            if user.two_factor == wanted:
                return False
            await conn.execute(sa.update(users).where(users.c.id == user_id).values(two_factor=wanted))
            await user_changed(conn, user_id, self._clock())
            kind = EventKind.SECOND_FACTOR_REQUIRED if required else EventKind.SECOND_FACTOR_NOT_REQUIRED
            await self.write(conn, kind, user, by)
        return True

    async def forget(self, conn: AsyncConnection, user_id: int) -> bool:
        """Delete everything that stands for a second factor; whether one was in use."""
        gone = sa.delete(totp).where(totp.c.user_id == user_id).returning(totp.c.confirmed_at)
        used = await conn.scalar(gone) is not None
        await conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        await conn.execute(sa.update(devices).where(devices.c.user_id == user_id).values(trusted_until=None))
        return used

    async def tell(
        self, conn: AsyncConnection, kind: EventKind, user: UserRecord, by: Source, *, change: str
    ) -> None:
        """Mail the owner, whoever did it (ASVS 5.0 V6.3.7), and write it down."""
        moment = datetime.fromtimestamp(int(self._clock()), UTC).isoformat()
        values = {"change": change, "when": moment}
        if by.client:
            values["client"] = by.client
        await self._outbox.post(conn, MailKind.SECOND_FACTOR_CHANGED, user=user, values=values)
        await self.write(conn, kind, user, by)

    async def write(
        self, conn: AsyncConnection, kind: EventKind, user: UserRecord, by: Source, **details: Detail
    ) -> None:
        """One audit row about `user`."""
        await self._audit.record(
            kind,
            user_id=user.id,
            login=user.login,
            actor=by.actor,
            client=by.client,
            request_id=by.request_id,
            details=details,
            conn=conn,
        )
