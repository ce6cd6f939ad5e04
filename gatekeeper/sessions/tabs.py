"""Whether anybody still has the application open: what the session script tells, and what can be concluded.

A session that is not remembered ends `Timeouts.closing` seconds after its last tab was closed, and
`Timeouts.silence` seconds after the last word of an open one. Both are facts that only move forward, so it
does not matter in which order, or by which process, they are heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import Session, SessionRecord, Timeouts
from gatekeeper.sessions.activity import Activity
from gatekeeper.sessions.cache import SessionCache
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.renewals import Renewals

NOTE_EVERY = 60.0
"""Seconds from one note of an open tab to the next; a fraction of `Timeouts.silence`."""

PARTING = 3.0
"""Seconds after a tab was closed in which its last background requests may still arrive."""

NAVIGATING = 15.0
"""Seconds within which a page that was asked for takes the place of another one in its tab."""

_MANY = 1_024


class Deadlines(NamedTuple):
    """When a session ends, in seconds since the epoch."""

    idle: float | None
    """Unless the person does something; None for a remembered session."""
    absolute: float


class TabNotes(Activity):
    """Notes of open tabs, written behind."""

    def __init__(
        self,
        store: SessionStore,
        cache: SessionCache,
        *,
        lasting: float,
        on_error: Callable[[BaseException], None],
    ) -> None:
        super().__init__(self._see, lasting=lasting, on_error=on_error)
        self._store = store
        self._cache = cache
        self._changing: set[bytes] = set()

    def note_change(self, key: bytes, now: float) -> None:
        """A tab of this session is heard of for the first time, or after the last one was closed.

        What is cached of it does not know that it ends with its tabs, or believes that it ends now; and what
        is read while this is written may not be cached either.
        """
        self._changing.add(key)
        self.note(key, now, None)
        self._cache.drop_key(key)

    async def _see(self, seen: Sequence[tuple[bytes, float]]) -> None:
        await self._store.see_tabs(seen)
        for key, _ in seen:
            if key in self._changing:
                self._changing.discard(key)
                self._cache.drop_key(key)


class Tabs:
    """What the session script and the gate tell of open tabs."""

    def __init__(
        self,
        store: SessionStore,
        reader: SessionReader,
        cache: SessionCache,
        notes: TabNotes,
        renewals: Renewals,
        timeouts: Timeouts,
    ) -> None:
        self._store = store
        self._reader = reader
        self._cache = cache
        self._notes = notes
        self._renewals = renewals
        self._timeouts = timeouts
        self._noted = _Times()
        self._navigated = _Times()

    @property
    def failing(self) -> bool:
        """Whether notes cannot be written."""
        return self._notes.failing

    async def run(self) -> None:
        """Write notes behind, for ever."""
        await self._notes.run()

    async def flush(self) -> None:
        """Write what is pending. Raises StoreUnavailable."""
        await self._notes.flush()

    def opened(self, session: Session, now: float) -> None:
        """The script began in a new page: the page that was asked for has arrived."""
        self._navigated.forget(session.record.key)
        self.seen(session, now)

    def seen(self, session: Session, now: float) -> None:
        """A tab is open at `now`; it also renews a remembered session when that is due."""
        self._note(session.record, now)
        self._renewals.note_use(session, now)

    def used(self, session: Session, now: float, *, navigation: bool) -> None:
        """A request at `now`, `navigation` when for a page. Asked only where the script was seen.

        A closed page's last background requests (telemetry, mostly) say nothing of an open tab.
        """
        record = session.record
        if navigation:
            self._navigated.put(record.key, now)
        elif _closing(record) and now < record.tab_closed_at + PARTING:
            return
        self._note(record, now)

    async def closed(self, session: Session, now: float) -> None:
        """A page was left, and it knew of no other tab. Raises StoreUnavailable.

        When another page was asked for just before, it is the one that took its place: perhaps one that the
        script does not run in (a PDF), so its silence must not end the session.
        """
        record = session.record
        if record.remembered or (_closing(record) and now < record.tab_closed_at + PARTING):
            return
        if now < self._navigated.last(record.key) + NAVIGATING:
            self._navigated.forget(record.key)
            self._note(record, now)
            return
        await self._store.close_tab(record.key, now)
        self._noted.forget(record.key)
        self._cache.drop_key(record.key)

    def deadlines(self, session: Session) -> Deadlines:
        """When `session` ends, as far as this process knows."""
        record, timeouts = self._reader.with_latest(session.record), self._timeouts
        if record.remembered:
            return Deadlines(None, record.created_at + timeouts.remember_max)
        last = max(record.last_seen_at, self._cache.seen.get(record.key, 0.0))
        return Deadlines(last + timeouts.idle, record.created_at + timeouts.absolute)

    def _note(self, record: SessionRecord, now: float) -> None:
        first = not record.tab_seen_at or _closing(record)
        if not first and now < self._noted.last(record.key) + NOTE_EVERY:
            return
        self._noted.put(record.key, now)
        if first:
            self._notes.note_change(record.key, now)
        else:
            self._notes.note(record.key, now, now)


class _Times:
    """When something last happened to each session; what is long ago is forgotten."""

    def __init__(self) -> None:
        self._at: dict[bytes, float] = {}
        self._prune_at = _MANY

    def last(self, key: bytes) -> float:
        return self._at.get(key, 0.0)

    def put(self, key: bytes, now: float) -> None:
        if len(self._at) >= self._prune_at:
            self._at = {other: at for other, at in self._at.items() if now < at + NOTE_EVERY}
            self._prune_at = max(_MANY, 2 * len(self._at))
        self._at[key] = now

    def forget(self, key: bytes) -> None:
        self._at.pop(key, None)


def _closing(record: SessionRecord) -> bool:
    return record.tab_closed_at > record.tab_seen_at
