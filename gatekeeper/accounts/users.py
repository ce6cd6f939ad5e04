"""Accounts: added, changed, read. Every change says who made it and is one transaction with its audit row.

A change that must end sessions raises the account's `session_epoch` and tells every process in the same
transaction; one that only changes what the application is told about a person just tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gatekeeper.accounts import fields, rows, tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.new_password import NewPasswords
from gatekeeper.accounts.passwords import PasswordPolicy
from gatekeeper.accounts.rows import Account
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord
from gatekeeper.core.users import login_key
from gatekeeper.storage import tables
from gatekeeper.storage.revocations import revoke_user, user_changed

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.audit.log import AuditLog, Detail
    from gatekeeper.storage.engine import Database


class NewUser(NamedTuple):
    """An account that may be stored as it stands: fields clean, password judged and hashed."""

    login: str
    name: str
    email: str
    roles: tuple[str, ...]
    password_hash: str | None
    must_change: str = ""


class Users:
    """The accounts of this installation; also the `UserDirectory` of the sessions."""

    def __init__(
        self,
        db: Database,
        hasher: PasswordHasher,
        audit: AuditLog,
        clock: Clock,
        *,
        policy: PasswordPolicy = PasswordPolicy(),  # noqa: B008 - immutable
    ) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._new = NewPasswords(db, hasher, policy)

    async def get(self, user_id: int) -> UserRecord | None:
        """The account with this id. Raises `StoreUnavailable`."""
        async with self._db.read() as conn:
            return await rows.read_user(conn, user_id=user_id)

    async def find(self, login: str) -> UserRecord | None:
        """The account with this login in any spelling. Raises `StoreUnavailable`."""
        key = fields.lookup_key(login)
        if key is None:
            return None
        async with self._db.read() as conn:
            return await rows.read_user(conn, key=key)

    async def list(self) -> Sequence[Account]:
        """All accounts, ordered by login. Raises `StoreUnavailable`."""
        async with self._db.read() as conn:
            return await rows.read_accounts(conn)

    async def add(
        self,
        login: str,
        *,
        by: Source,
        name: str = "",
        email: str = "",
        roles: Iterable[str] = (),
        password: str | None = None,
        must_change: str = "",
    ) -> UserRecord:
        """A new account; without a password nobody can sign in to it with one.

        `must_change` (of `core.steps.Why`) marks a password that its owner did not choose. Raises
        `AccountError` (`login_taken`, `bad_…`), `Overloaded`, `StoreUnavailable`.
        """
        new = await self.prepare(
            login, name=name, email=email, roles=roles, password=password, must_change=must_change
        )
        async with self._db.begin() as conn:
            return await self.insert(conn, new, by=by)

    async def generate(
        self, login: str, *, name: str = "", email: str = "", roles: Iterable[str] = ()
    ) -> str:
        """A random password that an account with these fields may have. Raises as `prepare`."""
        new = await self.prepare(login, name=name, email=email, roles=roles, password=None)
        return await self._new.random(_unborn(new))

    async def prepare(
        self,
        login: str,
        *,
        name: str,
        email: str,
        roles: Iterable[str],
        password: str | None,
        must_change: str = "",
    ) -> NewUser:
        """Judge everything and hash the password, before and outside any transaction. Raises as `add`."""
        login = fields.clean_login(login)
        name = fields.clean_name(name)
        email = fields.clean_email(email)
        cleaned_roles = fields.clean_roles(roles)
        new = NewUser(login, name, email, cleaned_roles, None)
        if password is None:
            return new
        encoded = await self._new.first(_unborn(new), password)
        return new._replace(password_hash=encoded, must_change=must_change)

    async def insert(self, conn: AsyncConnection, new: NewUser, *, by: Source) -> UserRecord:
        """Store a prepared account in the caller's transaction. Raises `AccountError` `login_taken`."""
        now = self._clock()
        statement = sa.insert(tables.users).values(
            login=new.login,
            login_key=login_key(new.login),
            name=new.name,
            email=new.email,
            password_hash=new.password_hash,
            password_changed_at=None if new.password_hash is None else now,
            must_change=new.must_change,
            created_at=now,
        )
        try:
            user_id = (await conn.execute(statement.returning(tables.users.c.id))).scalar_one()
        except IntegrityError as error:
            raise AccountError("login_taken", "there is an account with this login already") from error
        await rows.write_roles(conn, user_id, new.roles)
        user = await rows.locked_user(conn, user_id)
        await self._write(conn, EventKind.USER_ADDED, user, by, roles=list(user.roles))
        return user

    async def set_password(self, user_id: int, password: str, *, by: Source) -> None:
        """Another password; ends all sessions of the account. ASVS 5.0 V7.4.3.

        Raises `AccountError` (`unknown_user`, `bad_password`, `changed_meanwhile`), `Overloaded`,
        `StoreUnavailable`.
        """
        user = await self.get(user_id)
        if user is None:
            raise AccountError("unknown_user", "there is no such account")
        judged = await self._new.judge(user, password)
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            await self._new.store(conn, user_id, judged, now=self._clock())
            await self._write(conn, EventKind.PASSWORD_SET, user, by)

    async def set_disabled(self, user_id: int, disabled: bool, *, by: Source) -> bool:
        """Close the account and end its sessions, or open it again; False when it was so already.

        Raises `AccountError` `unknown_user`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            if user.disabled == disabled:
                return False
            now = self._clock()
            await self._change(conn, user_id, disabled=disabled)
            if disabled:
                await tokens.withdraw_all(conn, user_id)
                await revoke_user(conn, user_id, now)
            else:
                await user_changed(conn, user_id, now)
            kind = EventKind.USER_DISABLED if disabled else EventKind.USER_ENABLED
            await self._write(conn, kind, user, by)
        return True

    async def set_roles(self, user_id: int, roles: Iterable[str], *, by: Source) -> tuple[str, ...]:
        """Exactly these roles; what they are now. Raises `AccountError`, `StoreUnavailable`."""
        return await self._replace_roles(user_id, by, only=fields.clean_roles(roles))

    async def change_roles(
        self, user_id: int, *, add: Iterable[str] = (), remove: Iterable[str] = (), by: Source
    ) -> tuple[str, ...]:
        """Some roles more, some less; what they are now. Raises `AccountError`, `StoreUnavailable`."""
        return await self._replace_roles(
            user_id, by, add=fields.clean_roles(add), remove=fields.clean_roles(remove)
        )

    async def delete(self, user_id: int, *, by: Source) -> None:
        """Forget the account and end its sessions; its id is never given again, its audit rows stay.

        Raises `AccountError` `unknown_user`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            await revoke_user(conn, user_id, self._clock())
            await tokens.withdraw_all(conn, user_id)
            await conn.execute(sa.delete(tables.users).where(tables.users.c.id == user_id))
            await self._write(conn, EventKind.USER_DELETED, user, by)

    async def _replace_roles(
        self,
        user_id: int,
        by: Source,
        *,
        only: tuple[str, ...] | None = None,
        add: tuple[str, ...] = (),
        remove: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        async with self._db.begin() as conn:
            user = await rows.locked_user(conn, user_id)
            base = user.roles if only is None else only
            roles = tuple(sorted({*base, *add} - {*remove}))
            if roles != user.roles:
                await rows.write_roles(conn, user_id, roles)
                await user_changed(conn, user_id, self._clock())
                await self._write(
                    conn, EventKind.USER_ROLES_CHANGED, user, by, before=list(user.roles), after=list(roles)
                )
        return roles

    async def _change(self, conn: AsyncConnection, user_id: int, **values: object) -> None:
        await conn.execute(sa.update(tables.users).where(tables.users.c.id == user_id).values(**values))

    async def _write(
        self, conn: AsyncConnection, kind: EventKind, user: UserRecord, by: Source, **details: Detail
    ) -> None:
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


def _unborn(new: NewUser) -> UserRecord:
    """The account as the password rules will see it; the id 0 is nobody's."""
    return UserRecord(0, new.login, new.name, new.email, new.roles, disabled=False, session_epoch=0)
