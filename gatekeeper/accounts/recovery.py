"""Forgot password: a mailed link leads to a new one. The same answer and cost for any login.

A reset never signs in and never touches the second factor: who can read the mail has one factor. It does
unlock the account, which is locked because somebody did not know the password. ASVS 5.0 V6.4.3, V6.3.8.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.accounts import fields, rows, tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.new_password import RECOVERY
from gatekeeper.accounts.rates import Attempt
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.new_password import NewPasswords
    from gatekeeper.accounts.notices import Notices
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database

LIFETIME = 3600.0
"""Seconds that a mailed link works."""
_NOBODY = UserRecord(
    id=-1, login="nobody", name="", email="nobody@invalid", roles=(), disabled=True, session_epoch=0
)
"""Stands in for an account that gets no mail: the same statements are executed, and its mail is made and then
dropped by the sender."""


class Recovery:
    """Sends links, and redeems them for a new password."""

    def __init__(
        self,
        db: Database,
        new: NewPasswords,
        lockout: Lockout,
        rates: Rates,
        outbox: Outbox,
        links: Links,
        audit: AuditLog,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._db = db
        self._new = new
        self._lockout = lockout
        self._rates = rates
        self._outbox = outbox
        self._links = links
        self._audit = audit
        self._notices = notices
        self._clock = clock
        self._salt = secrets.token_bytes(16)

    @property
    def enabled(self) -> bool:
        """Whether mail can be sent at all; without it no page should offer recovery."""
        return self._outbox.enabled

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""
        return self._new.least(user)

    def rules(self, user: UserRecord) -> list[str]:
        """All rules for `user`, in English sentences."""
        return self._new.rules(user)

    async def request(self, login: str, *, client: str = "", request_id: str = "") -> None:
        """Mail a link to the account's address, if there is an account that may get one.

        The same statements in one transaction for a known, unknown, disabled, locked or password-less login
        and one without an address. Raises `RateLimited` (by client, by the login as typed, in all),
        `StoreUnavailable`, whatever the login.
        """
        key = fields.lookup_key(login) or ""  # "" is nobody's: an impossible login costs like any other
        self._rates.check(Attempt.MAIL, account=key, client=client)
        async with self._db.begin() as conn:
            await self._rates.take(conn, Attempt.MAIL, account=key, client=client, request_id=request_id)
            now = self._clock()
            found, refusal = await self._eligible(conn, key)
            nobody = self._nobody(key)
            addressee = found if found is not None and not refusal else nobody
            token = await tokens.issue(conn, RECOVERY, lifetime=LIFETIME, now=now, user_id=addressee.id)
            await self._outbox.post(
                conn,
                MailKind.RECOVERY,
                user=addressee,
                values={"link": self._links.recovery(token)},
                expires_at=now + LIFETIME,
            )
            await tokens.withdraw(conn, RECOVERY, user_id=nobody.id)
            await self._audit.record(
                EventKind.RECOVERY_REQUESTED,
                user_id=found.id if found is not None else None,
                login=found.login if found is not None else "",
                client=client,
                request_id=request_id,
                details={"refused": refusal or ("" if self._outbox.enabled else "no_mail")},
                conn=conn,
            )

    async def peek(self, token: str) -> UserRecord | None:
        """Whose new password `token` would set now, None when the link is over. Consumes nothing."""
        async with self._db.read() as conn:
            user_id = await tokens.peek(conn, RECOVERY, token, self._clock())
            user = await rows.read_user(conn, user_id=user_id or 0)
        return user if user is not None and not user.disabled else None

    async def reset(self, token: str, new: str, *, client: str = "", request_id: str = "") -> UserRecord:
        """Set a new password with a mailed link; ends all sessions and unlocks. The account afterwards.

        Raises `AccountError` (`link_closed`; `bad_password` and `changed_meanwhile`, after which the link
        still works), `RateLimited`, `Overloaded`, `StoreUnavailable`. Of any number of attempts in parallel
        one succeeds.
        """
        user = await self.peek(token)
        if user is None:  # nobody without a link makes us hash
            raise link_closed()
        async with self._db.begin() as conn:
            await self._rates.take_with_link(conn, user, client=client, request_id=request_id)
        judged = await self._new.judge(user, new)
        by = Source(user.login, client, request_id)
        async with self._db.begin() as conn:
            now = self._clock()
            present = await rows.read_user(conn, user_id=user.id, lock=True)
            if present is None or present.disabled:
                raise link_closed()
            if await tokens.use(conn, RECOVERY, token, now) != user.id:
                raise link_closed()
            await self._new.store(conn, user.id, judged, now=now)
            await self._lockout.unlock(conn, user.id, by)
            user = await rows.locked_user(conn, user.id)
            await self._notices.password_changed(conn, EventKind.PASSWORD_RESET, user, by, now)
            return user

    def _nobody(self, key: str) -> UserRecord:
        """Always the same for one login, so that its newest mail replaces the others as an account's does.

        Salted: people type passwords into the login field, and nothing stored may be compared with guesses.
        """
        digest = hashlib.sha256(self._salt + key.encode("utf-8", "surrogatepass")).digest()
        return _NOBODY._replace(id=-1 - int.from_bytes(digest[:3]))

    async def _eligible(self, conn: AsyncConnection, key: str) -> tuple[UserRecord | None, str]:
        """The account, and why it gets no mail ("" when it does)."""
        user = await rows.read_user(conn, key=key, lock=True)
        has_password = await conn.scalar(
            sa.select(users.c.password_hash.is_not(None)).where(users.c.login_key == key)
        )
        if user is None:
            return None, "unknown_login"
        if user.disabled:
            return user, "disabled"
        if not has_password:  # signs in elsewhere: a mailbox must not become a second way in
            return user, "no_password"
        return user, "" if user.email else "no_address"


def link_closed() -> AccountError:
    """The one answer for a link that is used, expired, replaced, unknown, or whose account is closed."""
    return AccountError("link_closed", "the link is used, expired, replaced or unknown")
