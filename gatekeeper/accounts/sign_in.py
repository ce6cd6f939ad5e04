"""Signing in with a password: one answer and one cost, whoever asks. ASVS 5.0 V6.3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.accounts import fields, passwords, rows
from gatekeeper.accounts.devices import digest
from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.lockout import Ticket
from gatekeeper.accounts.notices import moment
from gatekeeper.accounts.rates import Attempt
from gatekeeper.accounts.rows import Credentials
from gatekeeper.accounts.turns import Turns
from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import RateLimited, Undecidable
from gatekeeper.core.session import Session, UserRecord
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.devices import Devices
    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.audit.log import AuditLog
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database


class _Asked(NamedTuple):
    """What is known before the password is verified."""

    account: Credentials | None
    refusal: str
    """Why no password opens this account now, "" when it must be verified."""
    ticket: Ticket | None


class SignIn:
    """Proves first factors, and completes sign-ins."""

    def __init__(
        self,
        db: Database,
        hasher: PasswordHasher,
        audit: AuditLog,
        clock: Clock,
        *,
        lockout: Lockout,
        rates: Rates,
        devices: Devices,
        outbox: Outbox,
    ) -> None:
        self._db = db
        self._hasher = hasher
        self._audit = audit
        self._clock = clock
        self._lockout = lockout
        self._rates = rates
        self._devices = devices
        self._outbox = outbox
        self._turns = Turns()

    async def password(
        self,
        login: str,
        password: str,
        *,
        device: str | None = None,
        client: str = "",
        request_id: str = "",
    ) -> UserRecord:
        """The account that `login` and `password` belong to. `device` is the device cookie's value.

        Raises `InvalidCredentials` after exactly the same statements and one verification, whether the
        login is unknown, the password wrong, the account locked, disabled or without a password;
        `RateLimited`, `Overloaded` and `StoreUnavailable` whatever the login. What is counted here is set
        back by `completed` alone.
        """
        key = fields.lookup_key(login) or ""  # "" is nobody's: an impossible login costs like any other
        async with self._turns.take((key, device)):
            asked = await self._ask(key, password, device=device, client=client, request_id=request_id)
            right = await self._verify(asked, password)
            if right and asked.account is not None and asked.ticket is not None:
                user = await self._accept(
                    asked.account, asked.ticket, password, device=device, client=client, request_id=request_id
                )
                if user is not None:
                    return user
                refusal = "changed_meanwhile"
            else:
                refusal = asked.refusal or "wrong_password"
                await self._refuse(asked, refusal, client=client, request_id=request_id)
        raise InvalidCredentials

    async def locked(self, user_id: int, device: str | None) -> bool:
        """Whether the account is locked for this browser, so that a half-finished sign-in must stop.

        To be asked before each step is carried out. Raises `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            return await self._lockout.locked(conn, user_id, device)

    async def completed(
        self,
        session: Session,
        *,
        device: str | None,
        client: str = "",
        user_agent: str = "",
        request_id: str = "",
    ) -> str:
        """Every step is done: the device cookie's value for this browser from now on.

        Sets the counts back, and mails the person when this browser is new to an account that was used
        before. Raises `InvalidCredentials` when the account was locked or disabled meanwhile (end the
        session then), `StoreUnavailable`.
        """
        user_id = session.record.user_id
        async with self._db.begin() as conn:
            user = await rows.read_user(conn, user_id=user_id, lock=True)
            if user is None or user.disabled or await self._lockout.locked(conn, user_id, device):
                raise InvalidCredentials
            await self._lockout.completed(conn, user_id, device)
            cookie, is_new = await self._devices.remember(conn, user_id, device, user_agent)
            now = self._clock()
            await conn.execute(sa.update(users).where(users.c.id == user_id).values(last_sign_in_at=now))
            if is_new and user.last_sign_in_at > 0.0:
                await self._tell_of_new_browser(conn, user, client=client, user_agent=user_agent, now=now)
            await self._audit.record(
                EventKind.SIGN_IN_SUCCEEDED,
                user_id=user.id,
                login=user.login,
                actor=user.login,
                client=client,
                request_id=request_id,
                details={"methods": session.record.methods, "new_browser": is_new},
                conn=conn,
            )
        return cookie

    async def _ask(
        self, key: str, password: str, *, device: str | None, client: str, request_id: str
    ) -> _Asked:
        """Count the attempt against the rates and, where a password could be right, against the account."""
        await self._check_rates(key, device, client)
        async with self._db.begin() as conn:
            account = await rows.read_credentials(conn, key)
            user_id = account.user_id if account is not None else None
            known = await self._devices.find(conn, user_id, device)
            await self._rates.take(
                conn, Attempt.PASSWORD, account=key, client=client, device=known, request_id=request_id
            )
            refusal = self._why_not(account, password)
            countable = user_id if refusal in ("", "too_long") else None
            ticket = await self._lockout.reserve(conn, countable, device)
            if countable is not None and ticket is None:
                refusal = "locked"
            return _Asked(account, refusal, ticket)

    async def _check_rates(self, key: str, device: str | None, client: str) -> None:
        """Raise `RateLimited` without waiting for a turn to write, where that is known already."""
        try:
            self._rates.check(Attempt.PASSWORD, account=key, client=client)
        except RateLimited:
            if not device:
                raise
            async with self._db.read() as conn:
                account = await rows.read_credentials(conn, key)
                user_id = account.user_id if account is not None else None
                if not await self._devices.known(conn, user_id, device):
                    raise
        if device:
            self._rates.check(Attempt.PASSWORD, account=key, device=digest(device))

    async def _verify(self, asked: _Asked, password: str) -> bool:
        """Verify the password, or a dummy at the same cost where none can be right."""
        encoded = None
        if asked.account is not None and asked.refusal == "":
            encoded = asked.account.password_hash
        try:
            return await self._hasher.verify(encoded, password)
        except Undecidable:
            if asked.ticket is not None:
                async with self._db.begin() as conn:
                    await self._lockout.passed(conn, asked.ticket)
            raise

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
            return "too_long"
        return ""

    async def _refuse(self, asked: _Asked, refusal: str, *, client: str, request_id: str) -> None:
        async with self._db.begin() as conn:
            await self._lockout.failed(conn, asked.ticket, client=client, request_id=request_id)
            await self._failed_row(conn, asked.account, refusal, client=client, request_id=request_id)

    async def _accept(
        self,
        account: Credentials,
        ticket: Ticket,
        password: str,
        *,
        device: str | None,
        client: str,
        request_id: str,
    ) -> UserRecord | None:
        """Write it down; None when the account was disabled, locked or given another password meanwhile."""
        renewed = await self._renewed_hash(account, password)
        async with self._db.begin() as conn:
            await self._lockout.passed(conn, ticket)
            done = await conn.execute(
                sa.update(users)
                .where(
                    users.c.id == account.user_id,
                    users.c.password_hash == account.password_hash,
                    users.c.disabled.is_(sa.false()),
                )
                .values(password_hash=renewed)
            )
            if done.rowcount != 1 or await self._lockout.locked(conn, account.user_id, device):
                await self._failed_row(
                    conn, account, "changed_meanwhile", client=client, request_id=request_id
                )
                return None
            user = await rows.locked_user(conn, account.user_id)
            await self._audit.record(
                EventKind.PASSWORD_ACCEPTED,
                user_id=user.id,
                login=user.login,
                actor=user.login,
                client=client,
                request_id=request_id,
                details={"rehashed": renewed != account.password_hash},
                conn=conn,
            )
            return user

    async def _failed_row(
        self,
        conn: AsyncConnection,
        account: Credentials | None,
        refusal: str,
        *,
        client: str,
        request_id: str,
    ) -> None:
        await self._audit.record(
            EventKind.SIGN_IN_FAILED,
            user_id=account.user_id if account else None,
            login=account.login if account else "",
            client=client,
            request_id=request_id,
            details={"reason": refusal},
            conn=conn,
        )

    async def _tell_of_new_browser(
        self, conn: AsyncConnection, user: UserRecord, *, client: str, user_agent: str, now: float
    ) -> None:
        said = {"when": moment(now), "client": client, "user_agent": user_agent}
        values = {name: value for name, value in said.items() if value}
        await self._outbox.post(conn, MailKind.NEW_DEVICE, user=user, values=values)

    async def _renewed_hash(self, account: Credentials, password: str) -> str | None:
        """The hash to keep: made anew when today's cost is another."""
        encoded = account.password_hash
        if encoded is None or not self._hasher.needs_rehash(encoded):
            return encoded
        try:
            return await self._hasher.hash(password)
        except Undecidable:
            return encoded  # the next sign-in renews it; this one was proved
