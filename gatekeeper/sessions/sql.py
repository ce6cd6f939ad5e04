"""Sessions in the SQL database."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gatekeeper.core.session import Cutoffs, Ended, EndReason, SessionRecord, Timeouts
from gatekeeper.storage.engine import Database
from gatekeeper.storage.locks import hold_owner, hold_sessions, hold_user
from gatekeeper.storage.revocations import REVOCABLE, Revocation, announce, revoke_user
from gatekeeper.storage.tables import revocations, session_marks, sessions

T = TypeVar("T")

BATCH = 500
"""Rows a transaction, where there may be many: other writers get their turn in between."""

_FIELDS = [sessions.c[name] for name in SessionRecord._fields]
_GET = sa.select(sessions.c.ended_reason, *_FIELDS).where(sessions.c.key == sa.bindparam("key"))
_TOUCH = (
    sa.update(sessions)
    .where(
        sessions.c.key == sa.bindparam("k"),
        sessions.c.last_seen_at < sa.bindparam("seen"),
        sessions.c.ended_at.is_(None),
    )
    .values(last_seen_at=sa.bindparam("seen"))
)
_SEE_TABS = (
    sa.update(sessions)
    .where(
        sessions.c.key == sa.bindparam("k"),
        sessions.c.tab_seen_at < sa.bindparam("seen"),
        sessions.c.ended_at.is_(None),
    )
    .values(tab_seen_at=sa.bindparam("seen"))
)
_AT: sa.BindParameter[float] = sa.bindparam("at")
_RENEW = (
    sa.update(sessions)
    .where(
        sessions.c.key == sa.bindparam("k"),
        sessions.c.remembered,
        sessions.c.ended_at.is_(None),
        sessions.c.grace_until == 0,
        sessions.c.renewed_at < _AT,
        sessions.c.created_at + sa.bindparam("most") > _AT,
        (sessions.c.created_at + sa.bindparam("remember") > _AT)
        | (sessions.c.renewed_at + sa.bindparam("remember") > _AT),
    )
    .values(renewed_at=_AT)
)
_FAMILY = sa.text(
    """
    WITH RECURSIVE newer(key, next) AS (
        SELECT key, replaced_by FROM sessions WHERE key = :key
        UNION SELECT s.key, s.replaced_by FROM sessions s JOIN newer ON s.key = newer.next
    ), family(key) AS (
        SELECT key FROM newer
        UNION SELECT s.key FROM sessions s JOIN family ON s.replaced_by = family.key
    ) SELECT key FROM family
    """
)


class SqlSessionStore:
    """`core.protocols.SessionStore` on SQLite and PostgreSQL. Raises StoreUnavailable."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, key: bytes) -> SessionRecord | EndReason:
        async with self._db.read() as conn:
            row = (await conn.execute(_GET, {"key": key})).first()
        if row is None:
            return EndReason.UNKNOWN
        if row[0] is not None:
            return EndReason(row[0])
        return SessionRecord._make(row[1:])

    async def ended(self, key: bytes) -> Ended | None:
        query = sa.select(sessions.c.user_id, sessions.c.ended_reason, sessions.c.ended_at)
        async with self._db.read() as conn:
            row = (
                await conn.execute(query.where(sessions.c.key == key, sessions.c.ended_at.is_not(None)))
            ).first()
        return None if row is None else Ended(row[0], EndReason(row[1]), row[2])

    async def create(self, record: SessionRecord) -> None:
        async with self._db.begin() as conn:
            await conn.execute(sa.insert(sessions), record._asdict())

    async def replace(self, old: bytes, record: SessionRecord, *, grace_until: float) -> bool:
        async with self._db.begin() as conn:
            await hold_user(conn, record.user_id)
            replaced = await conn.execute(
                sa.update(sessions)
                .where(sessions.c.key == old, sessions.c.ended_at.is_(None), sessions.c.grace_until == 0)
                .values(grace_until=grace_until, replaced_by=record.key)
            )
            if replaced.rowcount == 0:
                return False
            await conn.execute(sa.insert(sessions), record._asdict())
            await announce(conn, record.last_seen_at, [Revocation(old, None)])
        return True

    async def skip(self, key: bytes, step: str, now: float) -> bool:
        current = sessions.c.ended_at.is_(None) & (sessions.c.grace_until == 0) & (sessions.c.key == key)
        async with self._db.begin() as conn:
            skipped = await conn.scalar(sa.select(sessions.c.skipped).where(current).with_for_update())
            if skipped is None:
                return False
            if step not in skipped.split():
                await conn.execute(
                    sa.update(sessions).where(current).values(skipped=f"{skipped} {step}".strip())
                )
                await announce(conn, now, [Revocation(key, None)])
        return True

    async def touch(self, seen: Sequence[tuple[bytes, float]]) -> None:
        for batch in _batches(sorted(seen)):
            async with self._db.begin(durable=False) as conn:
                await conn.execute(_TOUCH, [{"k": key, "seen": at} for key, at in batch])

    async def see_tabs(self, seen: Sequence[tuple[bytes, float]]) -> None:
        for batch in _batches(sorted(seen)):
            async with self._db.begin(durable=False) as conn:
                await conn.execute(_SEE_TABS, [{"k": key, "seen": at} for key, at in batch])

    async def close_tab(self, key: bytes, now: float) -> None:
        async with self._db.begin(durable=False) as conn:
            closed = await conn.execute(
                sa.update(sessions)
                .where(sessions.c.key == key, sessions.c.ended_at.is_(None), sessions.c.tab_closed_at < now)
                .values(tab_closed_at=now)
            )
            if closed.rowcount:
                await announce(conn, now, [Revocation(key, None)])

    async def renew(self, used: Sequence[tuple[bytes, float]], timeouts: Timeouts) -> None:
        for batch in _batches(sorted(used)):
            async with self._db.begin(durable=False) as conn:
                await conn.execute(
                    _RENEW,
                    [
                        {"k": key, "at": at, "remember": timeouts.remember, "most": timeouts.remember_max}
                        for key, at in batch
                    ],
                )

    async def end(
        self, key: bytes, reason: EndReason, now: float, *, judged: SessionRecord | None = None
    ) -> bool:
        end = {"ended_at": now, "ended_reason": reason.value}
        if judged is not None:
            # Can be found out again from the same row: need not wait for the disk.
            async with self._db.begin(durable=False) as conn:
                ended = await conn.execute(
                    sa.update(sessions)
                    .where(
                        sessions.c.key == key,
                        sessions.c.ended_at.is_(None),
                        sessions.c.last_seen_at <= judged.last_seen_at,
                        sessions.c.renewed_at <= judged.renewed_at,
                        sessions.c.tab_seen_at <= judged.tab_seen_at,
                    )
                    .values(**end)
                )
                if ended.rowcount:
                    await announce(conn, now, [Revocation(key, None)])
            return bool(ended.rowcount)
        async with self._db.begin() as conn:
            await hold_owner(conn, key)
            family = await _family(conn, key)
            await hold_sessions(conn, sessions.c.key.in_(family))
            alive = await conn.scalar(
                sa.select(sa.func.count())
                .select_from(sessions)
                .where(sessions.c.key.in_(family), sessions.c.ended_at.is_(None))
            )
            if not alive:
                return False
            await conn.execute(sa.update(sessions).where(sessions.c.key.in_(family), REVOCABLE).values(**end))
            await announce(conn, now, [Revocation(member, None) for member in family])
        return True

    async def end_user(
        self, user_id: int, reason: EndReason, now: float, *, keep: bytes | None = None
    ) -> int:
        async with self._db.begin() as conn:
            await hold_user(conn, user_id)
            kept = await _family(conn, keep) if keep is not None else []
            return await revoke_user(conn, user_id, now, reason=reason, keep=kept)

    async def list(self, user_id: int | None = None) -> list[SessionRecord]:
        query = sa.select(*_FIELDS).where(sessions.c.ended_at.is_(None), sessions.c.grace_until == 0)
        if user_id is not None:
            query = query.where(sessions.c.user_id == user_id)
        async with self._db.read() as conn:
            rows = (await conn.execute(query.order_by(sessions.c.last_seen_at.desc()))).all()
        return [SessionRecord._make(row) for row in rows]

    async def expire(self, now: float, over: Cutoffs) -> int:
        replaced = (sessions.c.grace_until > 0) & (sessions.c.grace_until <= now)
        grown, tabless = _grown(over), _tabless_for(over)
        gone = sessions.c.ended_at.is_(None) & (replaced | grown | _unused(over) | (tabless >= 0))
        reason = sa.case(
            (replaced, EndReason.REPLACED.value),
            (grown, EndReason.ABSOLUTE.value),
            (tabless >= over.seen - sessions.c.last_seen_at, EndReason.CLOSED.value),
            else_=EndReason.IDLE.value,
        )
        return await self._in_batches(
            gone,
            lambda chosen: sa.update(sessions).where(chosen, gone).values(ended_at=now, ended_reason=reason),
        )

    async def purge(self, over: Cutoffs, *, ended_before: float) -> int:
        gone = (sessions.c.ended_at < ended_before) | _grown(over) | _unused(over)
        count = await self._in_batches(gone, lambda chosen: sa.delete(sessions).where(chosen, gone))
        async with self._db.begin(durable=False) as conn:
            old = sa.select(revocations.c.seq).where(revocations.c.at < ended_before)
            old = old.with_for_update(skip_locked=True)
            await conn.execute(sa.delete(revocations).where(revocations.c.seq.in_(old)))
            marks = sa.select(session_marks.c.key).with_for_update(skip_locked=True)
            marks = marks.where(session_marks.c.at < min(over.created, over.remembered_created))
            await conn.execute(sa.delete(session_marks).where(session_marks.c.key.in_(marks)))
        return count

    async def _in_batches(self, condition: Any, statement: Any) -> int:
        """Find the rows while others may write, then change them a batch a transaction."""
        async with self._db.read() as conn:
            keys = (await conn.scalars(sa.select(sessions.c.key).where(condition))).all()
        count = 0
        for batch in _batches(keys):
            async with self._db.begin(durable=False) as conn:
                free = sa.select(sessions.c.key).where(sessions.c.key.in_(batch), condition)
                free = free.with_for_update(skip_locked=True)
                count += (await conn.execute(statement(sessions.c.key.in_(free)))).rowcount
        return count


def _grown(over: Cutoffs) -> sa.ColumnElement[bool]:
    """Sessions that reached their greatest length."""
    most = sa.case((sessions.c.remembered, over.remembered_created), else_=over.created)
    return sessions.c.created_at <= most


def _unused(over: Cutoffs) -> sa.ColumnElement[bool]:
    """Sessions that were not active, or not renewed, for too long."""
    forgotten = (sessions.c.created_at <= over.renewed) & (sessions.c.renewed_at <= over.renewed)
    return sa.case((sessions.c.remembered, forgotten), else_=sessions.c.last_seen_at <= over.seen)


def _tabless_for(over: Cutoffs) -> sa.ColumnElement[float]:
    """For how many seconds it has been over because no tab is open; below 0 while it is not."""
    by_script = ~sessions.c.remembered & (sessions.c.tab_seen_at > 0)
    closed = sessions.c.tab_closed_at > sessions.c.tab_seen_at
    return sa.case(
        (by_script & closed, over.tab_closed - sessions.c.tab_closed_at),
        (by_script, over.tab_seen - sessions.c.tab_seen_at),
        else_=-1.0e12,
    )


async def _family(conn: AsyncConnection, key: bytes) -> builtins.list[bytes]:
    """The ids that one session had and has: every id that step ups put in place of another."""
    return list((await conn.scalars(_FAMILY, {"key": key})).all())


def _batches(rows: Sequence[T]) -> Iterator[builtins.list[T]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch
