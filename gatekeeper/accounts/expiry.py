"""Who must choose a new password when, and the mail that says so beforehand.

What happens at sign-in is `core.steps`; the times here are those at which it will happen.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
import structlog

from gatekeeper.accounts import rows
from gatekeeper.accounts.notices import moment
from gatekeeper.accounts.rows import Account
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.notices import Notices
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database

DAY = 86_400.0
EVERY = 60.0
"""Seconds between two looks for reminders that are due."""
_BATCH = 200
"""Reminders in one transaction."""

log = structlog.get_logger("gatekeeper.accounts")


class ExpiryPolicy(NamedTuple):
    """Ages in seconds; None switches one off."""

    max_age: float | None = None
    max_unused: float | None = None
    remind_before: float | None = None
    """How long before `max_age` is reached the reminder goes out."""


class Due(NamedTuple):
    """When an account's password must change. Times are seconds since the epoch; None is never."""

    user: UserRecord
    must_change: str
    """Why it must change at the next sign-in already: "first_logon", "reset", "expired", "unused", or ""."""
    expires_at: float | None
    unused_at: float | None
    """From then on the next sign-in demands it, because there was none for long."""
    remind_at: float | None
    """When the reminder goes out; None when it went out, or none will."""
    reminded_at: float | None

    @property
    def at(self) -> float:
        """The earliest moment at which it must change."""
        if self.must_change in ("first_logon", "reset"):
            return 0.0
        return min(at for at in (self.expires_at, self.unused_at, math.inf) if at is not None)


def due(
    user: UserRecord, policy: ExpiryPolicy, now: float, *, reminded_at: float | None = None, mail: bool = True
) -> Due:
    """When the password of `user` must change, seen at `now`. Pure."""
    expires_at = unused_at = remind_at = None
    why = user.must_change
    if policy.max_unused is not None:
        unused_at = max(user.last_sign_in_at, user.password_changed_at) + policy.max_unused
        if not why and now >= unused_at:
            why = "unused"
    if policy.max_age is not None:
        expires_at = user.password_changed_at + policy.max_age
        if now >= expires_at and why in ("", "unused"):
            why = "expired"
        mailable = mail and user.email and not user.must_change and now < expires_at
        if policy.remind_before is not None and mailable and reminded_at is None:
            remind_at = expires_at - policy.remind_before
    return Due(user, why, expires_at, unused_at, remind_at, reminded_at)


class Expiry:
    """Lists what is due, and reminds people."""

    def __init__(
        self,
        db: Database,
        policy: ExpiryPolicy,
        outbox: Outbox,
        links: Links,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._db = db
        self._policy = policy
        self._outbox = outbox
        self._links = links
        self._notices = notices
        self._clock = clock

    async def list(self) -> Sequence[Due]:
        """Every open account with a password, the one that is due first first. Raises `StoreUnavailable`."""
        async with self._db.read() as conn:
            accounts = await rows.read_accounts(conn)
        now = self._clock()
        found = [self._due(account, now) for account in accounts if _concerned(account)]
        return sorted(found, key=lambda each: (each.at, each.user.login))

    def _due(self, account: Account, now: float) -> Due:
        return due(
            account.user, self._policy, now, reminded_at=account.reminded_at, mail=self._outbox.enabled
        )

    async def remind(self) -> int:
        """Post the reminders that are due; how many. Each password gets one, whoever asks how often.

        Raises `StoreUnavailable`.
        """
        if self._policy.max_age is None or self._policy.remind_before is None or not self._outbox.enabled:
            return 0
        posted = 0
        for user_id in await self._ready(self._policy.max_age, self._policy.remind_before):
            async with self._db.begin() as conn:
                posted += await self._remind(conn, user_id, self._policy.max_age)
        return posted

    async def run(self, every: float = EVERY) -> None:
        """Remind until cancelled, each `every` seconds. A database that is down is tried again."""
        while True:
            try:
                await self.remind()
            except StoreUnavailable as error:
                log.warning("reminders of expiring passwords wait", error=str(error))
            await asyncio.sleep(every)

    async def _ready(self, max_age: float, remind_before: float) -> Sequence[int]:
        now = self._clock()
        query = sa.select(users.c.id).where(
            *_UNREMINDED,
            users.c.password_changed_at + max_age - remind_before <= now,
            users.c.password_changed_at + max_age > now,
        )
        async with self._db.read() as conn:
            return (await conn.scalars(query.order_by(users.c.id).limit(_BATCH))).all()

    async def _remind(self, conn: AsyncConnection, user_id: int, max_age: float) -> bool:
        now = self._clock()
        mine = sa.update(users).where(
            users.c.id == user_id, *_UNREMINDED, users.c.password_changed_at + max_age > now
        )
        if (await conn.execute(mine.values(reminded_at=now))).rowcount != 1:
            return False  # another process was first, or the password changed
        user = await rows.locked_user(conn, user_id)
        expires_at = user.password_changed_at + max_age
        await self._outbox.post(
            conn,
            MailKind.PASSWORD_EXPIRES,
            user=user,
            values={
                "link": self._links.password(),
                "days": str(math.ceil((expires_at - now) / DAY)),
                "when": moment(expires_at),
            },
            expires_at=expires_at,
        )
        await self._notices.write(conn, EventKind.PASSWORD_REMINDED, user, Source("system"))
        return True


_UNREMINDED = (
    users.c.reminded_at.is_(None),
    users.c.password_hash.is_not(None),
    users.c.disabled.is_(sa.false()),
    users.c.must_change == "",
    users.c.email != "",
)


def _concerned(account: Account) -> bool:
    return account.has_password and not account.user.disabled
