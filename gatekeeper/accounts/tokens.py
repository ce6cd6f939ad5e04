"""Single-use tokens: one purpose, one lifetime each; the store holds SHA-256 of them and nothing else.

ASVS 5.0 V6.6.2, V11.5.1 (256 random bits). A token is long and random, so a fast hash is enough.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.storage.locks import hold_name
from gatekeeper.storage.tables import tokens

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_RANDOM_BYTES = 32


async def issue(
    conn: AsyncConnection, purpose: str, *, lifetime: float, now: float, user_id: int | None = None
) -> str:
    """A new token, valid for `lifetime` seconds; older ones of this purpose and user stop working."""
    await hold_name(conn, f"token {purpose} {user_id}")
    await withdraw(conn, purpose, user_id=user_id)
    token = secrets.token_urlsafe(_RANDOM_BYTES)
    await conn.execute(
        sa.insert(tokens).values(
            hash=_hash(token), purpose=purpose, user_id=user_id, created_at=now, expires_at=now + lifetime
        )
    )
    return token


async def withdraw(conn: AsyncConnection, *purposes: str, user_id: int | None) -> None:
    """Forget every token of these purposes and this user, used or not."""
    same_user = tokens.c.user_id.is_(None) if user_id is None else tokens.c.user_id == user_id
    await conn.execute(sa.delete(tokens).where(tokens.c.purpose.in_(purposes), same_user))


async def withdraw_all(conn: AsyncConnection, user_id: int) -> None:
    """Forget every token of this user, whatever it was for."""
    await conn.execute(sa.delete(tokens).where(tokens.c.user_id == user_id))


async def valid(conn: AsyncConnection, purpose: str, token: str, now: float) -> bool:
    """Whether `token` could be used now. Consumes nothing: mail scanners and previews ask too."""
    query = sa.select(sa.literal(1)).select_from(tokens).where(_usable(purpose, token, now))
    return (await conn.execute(query)).first() is not None


async def outstanding(conn: AsyncConnection, purpose: str, now: float) -> bool:
    """Whether any token of nobody's for this purpose could be used now."""
    query = sa.select(sa.literal(1)).where(
        tokens.c.purpose == purpose,
        tokens.c.user_id.is_(None),
        tokens.c.used_at.is_(None),
        tokens.c.expires_at > now,
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def peek(conn: AsyncConnection, purpose: str, token: str, now: float) -> int | None:
    """Whose token this is, while it could be used; None otherwise. Consumes nothing."""
    user_id: int | None = await conn.scalar(sa.select(tokens.c.user_id).where(_usable(purpose, token, now)))
    return user_id


async def use(conn: AsyncConnection, purpose: str, token: str, now: float) -> int | None:
    """Use up somebody's `token` and say whose it was; None when it was used, has expired or never existed.

    One statement: of any number of attempts in parallel exactly one gets an answer.
    """
    statement = sa.update(tokens).where(_usable(purpose, token, now), tokens.c.user_id.is_not(None))
    user_id: int | None = await conn.scalar(statement.values(used_at=now).returning(tokens.c.user_id))
    return user_id


async def use_nobodys(conn: AsyncConnection, purpose: str, token: str, now: float) -> bool:
    """The same for a token that belongs to no account."""
    statement = sa.update(tokens).where(_usable(purpose, token, now), tokens.c.user_id.is_(None))
    return (await conn.execute(statement.values(used_at=now))).rowcount == 1


async def spend(conn: AsyncConnection, purpose: str, token: str, *, expires_at: float, now: float) -> None:
    """Note that a token was used that was never stored here, because somebody else kept it until now.

    Raises `sqlalchemy.exc.IntegrityError` when it was used before: of any number in parallel one does not.
    """
    await conn.execute(
        sa.insert(tokens).values(
            hash=_hash(f"{purpose} {token}"),
            purpose=purpose,
            user_id=None,
            created_at=now,
            expires_at=expires_at,
            used_at=now,
        )
    )


def _usable(purpose: str, token: str, now: float) -> sa.ColumnElement[bool]:
    return sa.and_(
        tokens.c.hash == _hash(token),
        tokens.c.purpose == purpose,
        tokens.c.used_at.is_(None),
        tokens.c.expires_at > now,
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
