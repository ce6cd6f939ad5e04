"""Accounts as the database holds them: the statements that several use cases share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.session import UserRecord
from gatekeeper.storage.locks import hold_user
from gatekeeper.storage.tables import totp, user_roles, users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_CONFIRMED = sa.exists().where(totp.c.user_id == users.c.id, totp.c.confirmed_at.is_not(None))
_USERS = sa.select(users, _CONFIRMED.label("second_factor"))


class Account(NamedTuple):
    """One account as an administrator sees it; times are seconds since the epoch."""

    user: UserRecord
    has_password: bool
    created_at: float
    password_changed_at: float | None
    last_sign_in_at: float | None
    reminded_at: float | None = None
    """When the owner was told that the present password will expire."""
    locked_at: float | None = None
    """When too many wrong passwords locked the account, even if that lock has run out by now."""


class Credentials(NamedTuple):
    """What sign-in needs to know before anything was proved."""

    user_id: int
    login: str
    disabled: bool
    password_hash: str | None


async def read_credentials(conn: AsyncConnection, key: str) -> Credentials | None:
    """The account stored under `key` (see `core.users.login_key`)."""
    query = sa.select(users.c.id, users.c.login, users.c.disabled, users.c.password_hash)
    row = (await conn.execute(query.where(users.c.login_key == key))).one_or_none()
    return Credentials(*row) if row is not None else None


async def read_user(
    conn: AsyncConnection, *, user_id: int | None = None, key: str | None = None, lock: bool = False
) -> UserRecord | None:
    """One account with its roles, by id or by key.

    `lock` keeps others from changing it, and what belongs to it, until the transaction ends. The same
    statements are executed whether there is such an account or not.
    """
    if lock:
        # Before and not with the query: what it says of other tables must not be older than the lock.
        await hold_user(conn, user_id, key=key)
    query = _USERS.where(users.c.id == user_id if key is None else users.c.login_key == key)
    row = (await conn.execute(query)).one_or_none()
    found_id = 0 if row is None else row.id
    roles = await conn.execute(
        sa.select(user_roles.c.role).where(user_roles.c.user_id == found_id).order_by(user_roles.c.role)
    )
    if row is None:
        return None
    return _record(row, roles.scalars().all())


async def locked_user(conn: AsyncConnection, user_id: int) -> UserRecord:
    """The account about to be changed. Raises `AccountError` `unknown_user`."""
    user = await read_user(conn, user_id=user_id, lock=True)
    if user is None:
        raise AccountError("unknown_user", "there is no such account")
    return user


async def read_accounts(conn: AsyncConnection) -> list[Account]:
    """All accounts, ordered by login."""
    roles: dict[int, list[str]] = {}
    for user_id, role in await conn.execute(
        sa.select(user_roles.c.user_id, user_roles.c.role).order_by(user_roles.c.role)
    ):
        roles.setdefault(user_id, []).append(role)
    rows = await conn.execute(_USERS.order_by(users.c.login_key))
    return [
        Account(
            user=_record(row, roles.get(row.id, ())),
            has_password=row.password_hash is not None,
            created_at=row.created_at,
            password_changed_at=row.password_changed_at,
            last_sign_in_at=row.last_sign_in_at,
            reminded_at=row.reminded_at,
            locked_at=row.locked_at,
        )
        for row in rows
    ]


async def write_roles(conn: AsyncConnection, user_id: int, roles: Iterable[str]) -> None:
    """Put `roles` in place of those the account has."""
    await conn.execute(sa.delete(user_roles).where(user_roles.c.user_id == user_id))
    rows = [{"user_id": user_id, "role": role} for role in roles]
    if rows:
        await conn.execute(sa.insert(user_roles), rows)


def _record(row: sa.Row[tuple[object, ...]], roles: Sequence[str]) -> UserRecord:
    return UserRecord(
        id=row.id,
        login=row.login,
        name=row.name,
        email=row.email,
        roles=tuple(roles),
        disabled=row.disabled,
        session_epoch=row.session_epoch,
        password_changed_at=row.created_at if row.password_changed_at is None else row.password_changed_at,
        last_sign_in_at=row.last_sign_in_at or 0.0,
        must_change=row.must_change,
        two_factor=row.two_factor,
        second_factor=row.second_factor,
        welcomed=row.welcomed_at is not None,
        has_password=row.password_hash is not None,
    )
