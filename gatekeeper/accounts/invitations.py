"""Inviting somebody to an account that was made for them: a mailed link, perhaps with a first password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.accounts import rows, tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.new_password import INVITATION, Judged
from gatekeeper.accounts.password_change import check_mailable
from gatekeeper.accounts.recovery import link_closed
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import Why
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.new_password import NewPasswords
    from gatekeeper.accounts.notices import Notices
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database

LIFETIME = 7 * 86_400.0
"""Seconds that a mailed link works."""


class Invitations:
    """Sends invitations, and lets their links be followed once.

    With a password in the mail the link leads to sign-in, where that password must be changed; without one
    it leads to choosing the first password.
    """

    def __init__(
        self,
        db: Database,
        new: NewPasswords,
        rates: Rates,
        outbox: Outbox,
        links: Links,
        notices: Notices,
        clock: Clock,
        *,
        passwords: bool = True,
    ) -> None:
        """Without `passwords`, nobody signs in with one, and there is nothing to be invited to."""
        self._db = db
        self._new = new
        self._rates = rates
        self._outbox = outbox
        self._links = links
        self._notices = notices
        self._clock = clock
        self._passwords = passwords

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""
        return self._new.least(user)

    def rules(self, user: UserRecord) -> list[str]:
        """All rules for `user`, in English sentences."""
        return self._new.rules(user)

    def check(self, user: UserRecord) -> None:
        """Raise `AccountError` when `user` cannot be invited: `no_mail`, `no_address`, `disabled`,
        `has_signed_in`, `no_passwords`.
        """
        if not self._passwords:
            raise AccountError(
                "no_passwords", "nobody signs in with a password here (password.sign_in: false)"
            )
        check_mailable(self._outbox, user)
        if user.disabled:
            raise AccountError("disabled", f"the account {user.login} is disabled")
        if user.last_sign_in_at > 0.0:
            raise AccountError("has_signed_in", f"{user.login} has signed in already and needs no invitation")

    async def invite(self, user_id: int, *, by: Source, password: bool) -> None:
        """Mail an invitation; an earlier one stops working.

        With `password` a generated one is in the mail and takes the place of any that the account had, to be
        changed as the configuration says (`password.first_logon`). Raises `AccountError` (as `check`;
        `unknown_user`, `changed_meanwhile`), `Overloaded`, `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            user = await rows.read_user(conn, user_id=user_id)
        if user is None:
            raise AccountError("unknown_user", "there is no such account")
        self.check(user)
        generated, judged = await self._new.generated(user) if password else ("", None)
        async with self._db.begin() as conn:
            now = self._clock()
            user = await rows.locked_user(conn, user_id)
            self.check(user)
            if judged is not None:
                await self._new.store(conn, user_id, judged, now=now, must_change=Why.FIRST_LOGON)
            token = await tokens.issue(conn, INVITATION, lifetime=LIFETIME, now=now, user_id=user_id)
            values = {"link": self._links.invitation(token)}
            if generated:
                values["password"] = generated
            expires_at = now + LIFETIME
            await self._outbox.post(
                conn, MailKind.INVITATION, user=user, values=values, expires_at=expires_at
            )
            await self._notices.write(conn, EventKind.USER_INVITED, user, by, with_first=password)

    async def peek(self, token: str) -> UserRecord | None:
        """Who is invited by `token`, None when the link is over. Consumes nothing."""
        async with self._db.read() as conn:
            return await self._invited(conn, token)

    async def needs_password(self, token: str) -> bool:
        """Whether following `token` leads to choosing a first password (`set_password`), not to sign-in.

        Consumes nothing; False when the link is over.
        """
        async with self._db.read() as conn:
            user = await self._invited(conn, token)
            return user is not None and not await _has_password(conn, user.id)

    async def accept(self, token: str, *, client: str = "", request_id: str = "") -> UserRecord | None:
        """Use the link up, for sign-in with the password that the account has.

        None when the link is over, or when a first password is to be chosen: `set_password` does both at
        once. Proves nothing and signs nobody in. Raises `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            user = await self._invited(conn, token, lock=True)
            if user is None or not await _has_password(conn, user.id):
                return None
            if await tokens.use(conn, INVITATION, token, self._clock()) is None:
                return None
            by = Source(user.login, client, request_id)
            await self._notices.write(conn, EventKind.INVITATION_ACCEPTED, user, by)
            return user

    async def set_password(
        self, token: str, new: str, *, client: str = "", request_id: str = ""
    ) -> UserRecord:
        """Choose the first password with the mailed link. Signs nobody in. The account afterwards.

        Raises `AccountError` (`link_closed`; `bad_password`, after which the link still works),
        `RateLimited`, `Overloaded`, `StoreUnavailable`. Of any number of attempts in parallel one succeeds.
        """
        if not await self.needs_password(token):
            raise link_closed()
        user = await self.peek(token)
        if user is None:
            raise link_closed()
        async with self._db.begin() as conn:
            await self._rates.take_with_link(conn, user, client=client, request_id=request_id)
        encoded = await self._new.first(user, new)
        by = Source(user.login, client, request_id)
        async with self._db.begin() as conn:
            now = self._clock()
            present = await rows.read_user(conn, user_id=user.id, lock=True)
            if present is None or present.disabled:
                raise link_closed()
            if await tokens.use(conn, INVITATION, token, now) != user.id:
                raise link_closed()
            await self._new.store(conn, user.id, Judged(encoded, None), now=now)
            user = await rows.locked_user(conn, user.id)
            await self._notices.write(conn, EventKind.INVITATION_ACCEPTED, user, by)
            return user

    async def _invited(self, conn: AsyncConnection, token: str, *, lock: bool = False) -> UserRecord | None:
        user_id = await tokens.peek(conn, INVITATION, token, self._clock())
        user = await rows.read_user(conn, user_id=user_id or 0, lock=lock)
        return user if user is not None and not user.disabled else None


async def _has_password(conn: AsyncConnection, user_id: int) -> bool:
    query = sa.select(users.c.password_hash.is_not(None)).where(users.c.id == user_id)
    return bool(await conn.scalar(query))
