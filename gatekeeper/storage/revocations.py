"""What every process must hear of: a session ended, or what is cached of a user is no longer true.

A row here is committed together with the change that it announces, so neither exists without the other.
Every process reads the rows by their sequence (`sessions.invalidation`); the process that wrote them is told
as soon as its transaction is committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gatekeeper.core.session import EndReason
from gatekeeper.storage.locks import hold_sessions, insert, one_writer
from gatekeeper.storage.tables import revocations, session_marks, sessions, users

_BY_TIME = tuple(
    reason.value
    for reason in (
        EndReason.REPLACED,
        EndReason.IDLE,
        EndReason.ABSOLUTE,
        EndReason.UNFINISHED,
        EndReason.CLOSED,
    )
)

REVOCABLE = sessions.c.ended_at.is_(None) | sessions.c.ended_reason.in_(_BY_TIME)
"""Rows that a revocation applies to: an end by time lets a download finish, a later revocation cuts it."""

_ANNOUNCED = "gatekeeper.announced"

CHANNEL = "gatekeeper_revocations"
"""Of PostgreSQL's NOTIFY, which delivers at the commit, in the order of commits, and to whom it may concern
alone. The sequence of rows does not do there: a lower number may be committed after a higher one."""


class Revocation(NamedTuple):
    """One announcement: a session's key, or a user whose sessions must all be read afresh."""

    session_key: bytes | None
    user_id: int | None

    def as_text(self) -> str:
        """For channels that carry text."""
        return f"{'' if self.session_key is None else self.session_key.hex()}/{self.user_id or ''}"

    @classmethod
    def from_text(cls, text: str) -> Revocation:
        """Raises ValueError."""
        key, _, user_id = text.partition("/")
        return cls(bytes.fromhex(key) if key else None, int(user_id) if user_id else None)


async def announce(conn: AsyncConnection, now: float, announced: Iterable[Revocation]) -> None:
    """Announce inside the caller's transaction (`Database.begin`)."""
    rows = list(announced)
    if not rows:
        return
    await conn.execute(
        sa.insert(revocations),
        [{"at": now, "session_key": row.session_key, "user_id": row.user_id} for row in rows],
    )
    if not one_writer(conn):
        notify = sa.select(sa.func.pg_notify(CHANNEL, sa.bindparam("what")))
        for row in rows:
            await conn.execute(notify, {"what": row.as_text()})
    conn.sync_connection.info.setdefault(_ANNOUNCED, []).extend(rows)  # type: ignore[union-attr]


def take_announced(conn: AsyncConnection) -> list[Revocation]:
    """What the transaction on `conn` announced since this was last asked; `Database.begin` asks."""
    taken: list[Revocation] = conn.sync_connection.info.pop(_ANNOUNCED, [])  # type: ignore[union-attr]
    return taken


async def user_changed(conn: AsyncConnection, user_id: int, now: float) -> None:
    """Make every process read this user afresh (roles, name, e-mail changed); no session ends."""
    await announce(conn, now, [Revocation(None, user_id)])


async def _mark_kept(conn: AsyncConnection, user_id: int, kept: list[bytes], now: float) -> None:
    """Sessions may be in another store, which learns here that these go on under the new epoch."""
    epoch = await conn.scalar(sa.select(users.c.session_epoch).where(users.c.id == user_id))
    for key in kept:
        mark = insert(conn, session_marks).values(key=key, epoch=epoch or 0, at=now)
        changed = {"epoch": epoch or 0, "at": now}
        await conn.execute(mark.on_conflict_do_update(index_elements=[session_marks.c.key], set_=changed))


async def revoke_user(
    conn: AsyncConnection,
    user_id: int,
    now: float,
    *,
    reason: EndReason = EndReason.REVOKED,
    keep: Iterable[bytes] = (),
) -> int:
    """End every session of a user but those with the keys `keep`, in the caller's transaction.

    The user's epoch moves on first, so that no copy of a session store can bring an older session back.
    Returns how many people-visible sessions ended (replaced ids are not counted). `now` is in seconds.
    """
    kept = list(keep)
    await conn.execute(
        sa.update(users).where(users.c.id == user_id).values(session_epoch=users.c.session_epoch + 1)
    )
    await hold_sessions(conn, sessions.c.user_id == user_id)
    if kept:
        epoch = sa.select(users.c.session_epoch).where(users.c.id == user_id).scalar_subquery()
        await conn.execute(
            sa.update(sessions)
            .where(sessions.c.user_id == user_id, sessions.c.key.in_(kept))
            .values(epoch=epoch)
        )
        await _mark_kept(conn, user_id, kept, now)
    mine = [sessions.c.user_id == user_id, sessions.c.key.not_in(kept)]
    alive = await conn.scalar(
        sa.select(sa.func.count())
        .select_from(sessions)
        .where(*mine, sessions.c.ended_at.is_(None), sessions.c.grace_until == 0)
    )
    await conn.execute(
        sa.update(sessions).where(*mine, REVOCABLE).values(ended_at=now, ended_reason=reason.value)
    )
    await user_changed(conn, user_id, now)
    return int(alive or 0)
