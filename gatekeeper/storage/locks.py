"""Locks that a write transaction takes before it reads what it is about to change.

SQLite has one writer, which sees what nobody else can change; there all of these do nothing. PostgreSQL runs
write transactions beside each other (READ COMMITTED: each statement sees what is committed when it begins),
and what is sound there comes from three rules:

1. What is used up or counted is one statement that checks and changes (tokens, codes, buckets, leases).
2. Whoever reads before writing holds the account's row first (`hold_user`), so that everything about one
   account happens one after the other, on every node.
3. Locks are taken in one order, so that nobody waits for each other in a circle: buckets of rates (client,
   account, total), then the account, then its sessions by key, then tokens and everything else. Work on many
   accounts at once skips rows that somebody holds (`SKIP LOCKED`).
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatekeeper.storage.tables import sessions, users

Insert = postgresql.Insert | sqlite.Insert


def one_writer(conn: AsyncConnection) -> bool:
    """Whether nobody else can write until this transaction ends."""
    return conn.dialect.name == "sqlite"


async def hold_user(conn: AsyncConnection, user_id: int | None = None, *, key: str | None = None) -> None:
    """Keep others from changing an account, and what belongs to it, until the transaction ends.

    Reads before it may be old, reads after it are not. Asks the same of the database when there is none.
    """
    if one_writer(conn):
        return
    which = users.c.id == user_id if key is None else users.c.login_key == key
    # NO KEY: rows that refer to the account may be added meanwhile, by whoever does not need the account.
    await conn.execute(sa.select(users.c.id).where(which).with_for_update(key_share=True))


async def hold_owner(conn: AsyncConnection, session_key: bytes) -> None:
    """The same for the account that a session belongs to."""
    if one_writer(conn):
        return
    owner = await conn.scalar(sa.select(sessions.c.user_id).where(sessions.c.key == session_key))
    if owner is not None:
        await hold_user(conn, owner)


async def hold_sessions(conn: AsyncConnection, which: sa.ColumnElement[bool]) -> None:
    """Hold the rows of sessions in the order of their keys, as everybody does who changes several."""
    if not one_writer(conn):
        query = sa.select(sessions.c.key).where(which).order_by(sessions.c.key).with_for_update()
        (await conn.execute(query)).all()


async def hold_name(conn: AsyncConnection, name: str) -> None:
    """The same for something that has no row of its own yet."""
    if one_writer(conn):
        return
    number = int.from_bytes(hashlib.sha256(b"gatekeeper " + name.encode("utf-8")).digest()[:8], signed=True)
    await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def insert(conn: AsyncConnection, table: sa.Table) -> Insert:
    """INSERT that knows ON CONFLICT, which SQLAlchemy has for each database apart."""
    return sqlite.insert(table) if one_writer(conn) else postgresql.insert(table)
