"""Reads a session from the store and judges it: alive, or over and why."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from typing import NamedTuple

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import SessionStore, UserDirectory
from gatekeeper.core.session import (
    EndReason,
    HeaderList,
    Session,
    SessionRecord,
    Timeouts,
    UserRecord,
    ended,
    over_at,
    quiet_at,
)
from gatekeeper.sessions.activity import Activity
from gatekeeper.sessions.cache import SessionCache
from gatekeeper.sessions.renewals import Renewals

ANSWER = 3.0
"""Seconds for which one request waits for the store: for a connection, for a new one, and for the answer."""
_ATTEMPTS = 4
_JUST_OVER = 1.0
"""Seconds after a deadline in which another process may still be writing down what moves it."""
_MOVABLE = (EndReason.IDLE, EndReason.CLOSED)


class Found(NamedTuple):
    """The answer, and the cache's generation before it was read."""

    answer: Session | EndReason
    generation: int


class SessionReader:
    """The cold road: one read of the session, one of its user, and the verdict."""

    def __init__(
        self,
        store: SessionStore,
        users: UserDirectory,
        *,
        timeouts: Timeouts,
        next_step: Callable[[SessionRecord, UserRecord], str],
        headers_for: Callable[[UserRecord], HeaderList],
        cache: SessionCache,
        activity: Activity,
        renewals: Renewals,
        tabs: Activity,
        confirm_delay: float,
    ) -> None:
        self._store = store
        self._users = users
        self._timeouts = timeouts
        self._next_step = next_step
        self._headers_for = headers_for
        self._cache = cache
        self._activity = activity
        self._renewals = renewals
        self._tabs = tabs
        self._confirm_delay = confirm_delay

    def make(self, record: SessionRecord, user: UserRecord) -> Session:
        return Session(record, user, self._next_step(record, user), self._headers_for(user))

    def over_at(self, session: Session) -> float:
        """When the session is over whatever the person does, in seconds since the epoch."""
        return over_at(session.record, self._timeouts, complete=session.complete)

    async def read(self, key: bytes, now: float) -> Found:
        """Judge the session with this key. An end by time is written down: later clocks cannot undo it.

        Raises StoreUnavailable, also when the session changes faster than it can be read.
        """
        confirmed = False
        for _ in range(_ATTEMPTS):
            generation = self._cache.generation
            try:
                async with asyncio.timeout(ANSWER):
                    judged = await self._judge(key)
            except TimeoutError as error:
                raise StoreUnavailable("the store of sessions did not answer in time") from error
            if isinstance(judged, EndReason):
                return Found(judged, generation)
            record = judged.record
            reason = ended(record, self._timeouts, now, complete=judged.complete)
            if reason is None:
                return Found(judged, generation)
            self._cache.drop_key(key)
            if reason in _MOVABLE and now - quiet_at(record, self._timeouts) < _JUST_OVER and not confirmed:
                await asyncio.sleep(self._confirm_delay)
                confirmed = True
            elif await self._store.end(key, reason, now, judged=record):
                return Found(reason, generation)
        raise StoreUnavailable("the session changed while it was read")

    def with_latest(self, record: SessionRecord) -> SessionRecord:
        """`record` with the activity, renewal and open tabs that this process has not written down yet."""
        return self._renewals.applied_to(record)._replace(
            last_seen_at=self._activity.latest(record.key, record.last_seen_at),
            tab_seen_at=self._tabs.latest(record.key, record.tab_seen_at),
        )

    async def find(self, key: bytes) -> tuple[SessionRecord, UserRecord] | EndReason:
        """The session and its user as they are stored, unless ended or revoked. Raises StoreUnavailable."""
        stored = await self._store.get(key)
        if isinstance(stored, EndReason):
            return stored
        user = await self._users.get(stored.user_id)
        if user is None or user.disabled or stored.epoch < user.session_epoch:
            return EndReason.REVOKED
        return stored, user

    async def list(self, user_id: int | None, now: float) -> builtins.list[SessionRecord]:
        """What is alive and complete, the last active first. Raises StoreUnavailable."""
        users: dict[int, UserRecord | None] = {}
        alive = []
        for stored in await self._store.list(user_id):
            record = self.with_latest(stored)
            if ended(record, self._timeouts, now) is not None:
                continue
            if record.user_id not in users:
                users[record.user_id] = await self._users.get(record.user_id)
            user = users[record.user_id]
            if user is not None and record.epoch >= user.session_epoch and self.make(record, user).complete:
                alive.append(record)
        return sorted(alive, key=lambda record: record.last_seen_at, reverse=True)

    async def revoked(self, key: bytes) -> bool:
        """Whether the session was signed out or revoked (not: ended by time). Raises StoreUnavailable.

        One that was purged has been over for a day: nothing speaks for it any more.
        """
        return await self._judge(key) in (EndReason.SIGNED_OUT, EndReason.REVOKED, EndReason.UNKNOWN)

    async def _judge(self, key: bytes) -> Session | EndReason:
        # Asked before as well: what is pending now may be written, and forgotten, while the store is read.
        seen_at, tab_seen_at = self._activity.latest(key, 0.0), self._tabs.latest(key, 0.0)
        found = await self.find(key)
        if isinstance(found, EndReason):
            return found
        record, user = found
        record = record._replace(
            last_seen_at=max(record.last_seen_at, seen_at),
            tab_seen_at=max(record.tab_seen_at, tab_seen_at),
        )
        return self.make(self.with_latest(record), user)
