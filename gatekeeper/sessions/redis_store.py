"""Sessions in Redis, and what must not be lost in SQL.

Redis forgets: a replica that takes over may lack the last seconds of writes. What ends a session is therefore
committed in SQL first (an account's epoch, or a mark on one session) and announced from there, over the one
channel that every node listens to anyway; a session that comes back meets its mark. What Redis alone knows
(activity, a new id) can be lost without letting anybody in.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, get_type_hints

import sqlalchemy as sa
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import Cutoffs, Ended, EndReason, SessionRecord, Timeouts
from gatekeeper.sessions import redis_scripts as scripts
from gatekeeper.sessions.redis_client import sentinels_of
from gatekeeper.storage.engine import Database
from gatekeeper.storage.locks import hold_user, insert
from gatekeeper.storage.revocations import Revocation, announce, revoke_user
from gatekeeper.storage.tables import revocations, session_marks, users

PREFIX = "gatekeeper:"
ANSWER = 2.0
"""Seconds that Redis may cost one question, retries and a new connection included."""
REMEMBERED_END = 86_400.0
"""Seconds for which it is known why a session ended."""
_BATCH = 500

_TYPES = get_type_hints(SessionRecord)
_EMPTY: dict[type, Any] = {int: 0, float: 0.0, str: "", bool: False}


class RedisSessionStore:
    """`core.protocols.SessionStore`. Raises StoreUnavailable when Redis or the database cannot be asked."""

    def __init__(self, client: Redis, db: Database, timeouts: Timeouts, *, prefix: str = PREFIX) -> None:
        """`client` answers bytes (`decode_responses=False`)."""
        self._client: Any = client  # its types know no bytes
        self._db = db
        self._timeouts = timeouts
        self._prefix = prefix
        self._scripts: dict[str, Any] = {}

    async def aclose(self) -> None:
        """Close the connections to Redis, and to Sentinels."""
        await self._client.aclose()
        for sentinel in sentinels_of(self._client):
            await sentinel.aclose()

    async def get(self, key: bytes) -> SessionRecord | EndReason:
        async with _translated():
            found = await self._client.hgetall(self._name("s:", key.hex()))
        if not found:
            return EndReason.UNKNOWN
        if b"ended" in found:
            return EndReason(found[b"ended"].decode())
        record = _record(key, found)
        query = sa.select(session_marks.c.epoch, session_marks.c.ended_reason)
        query = query.where(session_marks.c.key.in_([key, bytes.fromhex(found[b"root"].decode())]))
        async with self._db.read() as conn:
            marks = (await conn.execute(query)).all()
        for mark in marks:
            if mark.ended_reason is not None:
                return EndReason(mark.ended_reason)
            record = record._replace(epoch=max(record.epoch, mark.epoch))
        return record

    async def ended(self, key: bytes) -> Ended | None:
        async with _translated():
            found = await self._client.hmget(self._name("s:", key.hex()), "user_id", "ended", "ended_at")
        if found[0] is None or found[1] is None:
            return None
        return Ended(int(found[0]), EndReason(found[1].decode()), float(found[2]))

    async def create(self, record: SessionRecord) -> None:
        await self._run(scripts.CREATE, record.key.hex(), record.user_id, self._ttl(record), *_fields(record))

    async def replace(self, old: bytes, record: SessionRecord, *, grace_until: float) -> bool:
        done = await self._run(
            scripts.REPLACE,
            old.hex(),
            repr(grace_until),
            record.key.hex(),
            record.user_id,
            self._ttl(record),
            *_fields(record),
        )
        if done:
            await self._announce(old, record.last_seen_at)
        return bool(done)

    async def skip(self, key: bytes, step: str, now: float) -> bool:
        done = await self._run(scripts.SKIP, key.hex(), step)
        if done == 2:
            await self._announce(key, now)
        return bool(done)

    async def touch(self, seen: Sequence[tuple[bytes, float]]) -> None:
        await self._forward("last_seen_at", seen)

    async def see_tabs(self, seen: Sequence[tuple[bytes, float]]) -> None:
        await self._forward("tab_seen_at", seen)

    async def close_tab(self, key: bytes, now: float) -> None:
        if await self._forward("tab_closed_at", [(key, now)]):
            await self._announce(key, now)

    async def renew(self, used: Sequence[tuple[bytes, float]], timeouts: Timeouts) -> None:
        for batch in _batches(used):
            await self._run(scripts.RENEW, timeouts.remember, timeouts.remember_max, *batch)

    async def end(
        self, key: bytes, reason: EndReason, now: float, *, judged: SessionRecord | None = None
    ) -> bool:
        ttl = int(REMEMBERED_END * 1000)
        if judged is not None:
            moved = [
                part
                for field in ("last_seen_at", "renewed_at", "tab_seen_at")
                for part in (field, repr(getattr(judged, field)))
            ]
            ended = await self._run(scripts.END_BY_TIME, key.hex(), reason.value, ttl, repr(now), *moved)
            if ended:
                await self._announce(key, now)
            return bool(ended)
        family = await self._family(key)
        if not family:
            return False
        async with self._db.begin() as conn:
            await _mark(conn, family[0], now, ended_reason=reason.value)
            await announce(conn, now, [Revocation(member, None) for member in family])
        return bool(await self._run(scripts.END, key.hex(), reason.value, ttl, repr(now)))

    async def end_user(
        self, user_id: int, reason: EndReason, now: float, *, keep: bytes | None = None
    ) -> int:
        family = await self._family(keep) if keep is not None else []
        async with self._db.begin() as conn:
            await hold_user(conn, user_id)
            await revoke_user(conn, user_id, now, reason=reason, keep=family)
            epoch = await conn.scalar(sa.select(users.c.session_epoch).where(users.c.id == user_id))
        return int(
            await self._run(
                scripts.END_USER,
                user_id,
                reason.value,
                int(REMEMBERED_END * 1000),
                repr(now),
                family[0].hex() if family else "",
                epoch or 0,
            )
        )

    async def list(self, user_id: int | None = None) -> builtins.list[SessionRecord]:
        async with _translated():
            owners = [user_id] if user_id is not None else await self._owners()
            keys: builtins.list[str] = []
            for owner in owners:
                ids = await self._client.zrange(self._name("u:", owner), 0, -1)
                keys += [found.decode() for found in ids]
        alive = [await self.get(bytes.fromhex(key)) for key in keys]
        records = [each for each in alive if isinstance(each, SessionRecord) and not each.grace_until]
        return sorted(records, key=lambda each: each.last_seen_at, reverse=True)

    async def expire(self, now: float, over: Cutoffs) -> int:
        """What nobody asks about any more is forgotten by Redis; what is asked about is ended then."""
        return 0

    async def purge(self, over: Cutoffs, *, ended_before: float) -> int:
        """Forget marks when no session from before them can be alive."""
        gone = session_marks.c.at < min(over.created, over.remembered_created)
        old = sa.select(session_marks.c.key).where(gone).with_for_update(skip_locked=True)
        told = sa.select(revocations.c.seq).where(revocations.c.at < ended_before)
        told = told.with_for_update(skip_locked=True)
        async with self._db.begin(durable=False) as conn:
            done = await conn.execute(sa.delete(session_marks).where(session_marks.c.key.in_(old)))
            await conn.execute(sa.delete(revocations).where(revocations.c.seq.in_(told)))
        return int(done.rowcount)

    async def _forward(self, field: str, seen: Sequence[tuple[bytes, float]]) -> int:
        moved = 0
        for batch in _batches(seen):
            moved += await self._run(scripts.FORWARD, field, *batch)
        return moved

    async def _family(self, key: bytes) -> builtins.list[bytes]:
        """The ids that one session has had, the first of them first; empty when there is none."""
        async with _translated():
            root = await self._client.hget(self._name("s:", key.hex()), "root")
            if root is None:
                return []
            ids = await self._client.smembers(self._name("f:", root.decode()))
        first = bytes.fromhex(root.decode())
        return [first, *(each for found in ids if (each := bytes.fromhex(found.decode())) != first)]

    async def _owners(self) -> builtins.list[int]:
        """Users with sessions; those without are forgotten on the way."""
        owners = []
        for found in await self._client.zrange(self._name("users"), 0, -1):
            owner = int(found)
            if await self._client.exists(self._name("u:", owner)):
                owners.append(owner)
            else:
                await self._client.zrem(self._name("users"), found)
        return owners

    async def _announce(self, key: bytes, now: float) -> None:
        async with self._db.begin(durable=False) as conn:
            await announce(conn, now, [Revocation(key, None)])

    async def _run(self, script: str, *args: Any) -> int:
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self._client.register_script(script)
        async with _translated():
            done: int = await prepared(args=[self._prefix, *args])
        return done

    def _name(self, kind: str, of: object = "") -> str:
        return f"{self._prefix}{kind}{of}"

    def _ttl(self, record: SessionRecord) -> int:
        """Milliseconds from now on for which Redis keeps it: its longest life, and the memory of its end."""
        timeouts = self._timeouts
        life = timeouts.remember_max if record.remembered else timeouts.absolute
        return int((max(record.created_at + life - record.last_seen_at, 0.0) + REMEMBERED_END) * 1000)


async def _mark(conn: AsyncConnection, key: bytes, now: float, *, ended_reason: str) -> None:
    mark = insert(conn, session_marks).values(key=key, epoch=0, ended_reason=ended_reason, at=now)
    await conn.execute(
        mark.on_conflict_do_update(
            index_elements=[session_marks.c.key], set_={"ended_reason": ended_reason, "at": now}
        )
    )


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}") from error


def _fields(record: SessionRecord) -> builtins.list[str | bytes]:
    """Names and values; whatever fields a record has in this version, but its key."""
    parts: builtins.list[str | bytes] = []
    for name, value in record._asdict().items():
        if name != "key":
            parts += [name, _written(value)]
    return parts


def _written(value: Any) -> str | bytes:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value)


def _record(key: bytes, found: dict[bytes, bytes]) -> SessionRecord:
    """What a node of this or another version wrote: unknown fields are left alone, missing ones are empty."""
    values: dict[str, Any] = {"key": key}
    for name, kind in _TYPES.items():
        raw = found.get(name.encode())
        if name == "key":
            continue
        if raw is None:
            values[name] = SessionRecord._field_defaults.get(name, _EMPTY[kind])
        elif kind is bool:
            values[name] = raw == b"1"
        else:
            values[name] = raw.decode("utf-8", "surrogatepass") if kind is str else kind(raw)
    return SessionRecord(**values)


def _batches(rows: Sequence[tuple[bytes, float]]) -> Iterator[builtins.list[str]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        yield [part for key, at in batch for part in (key.hex(), repr(at))]
