"""Signing in with a password: one answer and one cost, whoever asks. ASVS 5.0 V6.3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.accounts import fields, passwords, rows
from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.rows import Credentials
from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import Overloaded
from gatekeeper.core.session import UserRecord
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.storage.engine import Database


class SignIn:
    """Proves first factors."""

    def __init__(self, db: Database, hasher: PasswordHasher, audit: AuditLog, clock: Clock) -> None:
        self._db = db
        self._hasher = hasher
        self._audit = audit
        self._clock = clock

    async def password(
        self, login: str, password: str, *, client: str = "", request_id: str = ""
    ) -> UserRecord:
        """The account that `login` and `password` belong to.

        Raises `InvalidCredentials` after exactly one read, one verification and one audit row, whether the
        login is unknown, the password wrong, the account disabled or without a password; `Overloaded` and
        `StoreUnavailable` whatever the login.
        """
        account = await self._find(login)
        refusal = self._why_not(account, password)
        usable = account.password_hash if account is not None and refusal == "" else None
        if not await self._hasher.verify(usable, password):
            refusal = refusal or "wrong_password"
        elif account is not None:
            user = await self._succeed(account, password, client=client, request_id=request_id)
            if user is not None:
                return user
            refusal = "changed_meanwhile"
        await self._audit.record(
            EventKind.SIGN_IN_FAILED,
            user_id=account.user_id if account else None,
            login=account.login if account else "",
            client=client,
            request_id=request_id,
            details={"reason": refusal},
        )
        raise InvalidCredentials

    async def _find(self, login: str) -> Credentials | None:
        # A login that no account can have is asked for like any other: the key "" belongs to nobody.
        key = fields.lookup_key(login) or ""
        async with self._db.read() as conn:
            return await rows.read_credentials(conn, key)

    def _why_not(self, account: Credentials | None, password: str) -> str:
        """Why no password opens this account, or not this one; "" when it must be verified."""
        if account is None:
            return "unknown_login"
        if account.disabled:
            return "disabled"
        if account.password_hash is None:
            return "no_password"
        if not self._hasher.readable(account.password_hash):
            return "unreadable_hash"
        if len(password) > passwords.MAX_LENGTH:
            return "wrong_password"
        return ""

    async def _succeed(
        self, account: Credentials, password: str, *, client: str, request_id: str
    ) -> UserRecord | None:
        """Write the sign-in down; None when the account was disabled or its password changed meanwhile."""
        renewed = await self._renewed_hash(account, password)
        async with self._db.begin() as conn:
            done = await conn.execute(
                sa.update(users)
                .where(
                    users.c.id == account.user_id,
                    users.c.password_hash == account.password_hash,
                    users.c.disabled.is_(sa.false()),
                )
                .values(last_sign_in_at=self._clock(), password_hash=renewed)
            )
            if done.rowcount != 1:
                return None
            user = await rows.locked_user(conn, account.user_id)
            await self._audit.record(
                EventKind.SIGN_IN_SUCCEEDED,
                user_id=user.id,
                login=user.login,
                actor=user.login,
                client=client,
                request_id=request_id,
                details={"methods": "pwd", "rehashed": renewed != account.password_hash},
                conn=conn,
            )
            return user

    async def _renewed_hash(self, account: Credentials, password: str) -> str | None:
        """The hash to keep: made anew when today's cost is another."""
        encoded = account.password_hash
        if encoded is None or not self._hasher.needs_rehash(encoded):
            return encoded
        try:
            return await self._hasher.hash(password)
        except Overloaded:
            return encoded  # the next sign-in renews it; this one was proved
