"""The sessions as the rest of Gatekeeper sees them: the cache in front, the store behind.

`peek` answers nearly every request without I/O. It may answer only while the process has heard from the
invalidation channel within `FRESH` seconds, so a revocation anywhere counts here after that time at most.
"""

from __future__ import annotations

import builtins
import math
import secrets as system_random
import time
from collections.abc import Callable, Sequence

from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import SessionStore, UserDirectory
from gatekeeper.core.session import (
    Ended,
    EndReason,
    HeaderList,
    Session,
    SessionRecord,
    Timeouts,
    UserRecord,
)
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.sessions.activity import Activity
from gatekeeper.sessions.cache import HOT, SessionCache
from gatekeeper.sessions.invalidation import Invalidations
from gatekeeper.sessions.progress import Progress
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.renewal import Renewer
from gatekeeper.sessions.renewals import Renewals
from gatekeeper.sessions.signing import CookieSigner, session_key
from gatekeeper.sessions.tabs import TabNotes, Tabs
from gatekeeper.sessions.upkeep import Upkeep
from gatekeeper.storage.revocations import Revocation

FRESH = 1.0
"""Seconds after which a channel that was not heard of makes the cache unusable."""

CACHE_SIZE = 50_000

_new = tuple.__new__


class SessionManager:
    """Implements `core.protocols.SessionGuard`; starts, steps up and ends sessions.

    `next_step(record, user)` says which sign-in step is still to do ("" for none) and must depend on
    nothing else; `headers_for(user)` makes the identity headers. `on_error` hears of what goes wrong in
    the background. Use as `async with manager:`, or `open` and `close`.
    """

    def __init__(
        self,
        store: SessionStore,
        users: UserDirectory,
        *,
        secrets: Sequence[str],
        timeouts: Timeouts,
        next_step: Callable[[SessionRecord, UserRecord], str],
        headers_for: Callable[[UserRecord], HeaderList],
        clock: Clock,
        invalidations: Invalidations,
        on_error: Callable[[BaseException], None],
        cache_size: int = CACHE_SIZE,
        random_bytes: Callable[[int], bytes] = system_random.token_bytes,
        monotonic: Clock = time.monotonic,
        confirm_delay: float = 0.2,
    ) -> None:
        self._store = store
        self._signer = CookieSigner(secrets)
        self._timeouts = timeouts
        self._clock = clock
        self._invalidations = invalidations
        self._monotonic = monotonic
        self._idle = timeouts.idle
        self._fresh_until = -math.inf
        self._cache = SessionCache(cache_size)
        self._table = self._cache.table
        self._seen = self._cache.seen
        self._hot = self._cache.hot
        self._activity = Activity(store.touch, lasting=timeouts.idle, on_error=on_error)
        tab_notes = TabNotes(store, self._cache, lasting=timeouts.silence, on_error=on_error)
        self._renewals = Renewals(timeouts)
        self._reader = SessionReader(
            store,
            users,
            timeouts=timeouts,
            next_step=next_step,
            headers_for=headers_for,
            cache=self._cache,
            activity=self._activity,
            renewals=self._renewals,
            tabs=tab_notes,
            confirm_delay=confirm_delay,
        )
        self._renewer = Renewer(store, self._reader, self._cache, self._renewals, timeouts, on_error=on_error)
        self.tabs = Tabs(store, self._reader, self._cache, tab_notes, self._renewals, timeouts)
        self._progress = Progress(
            store,
            users,
            self._reader,
            self._cache,
            self._signer,
            timeouts=timeouts,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._upkeep = Upkeep(store, self._reader, timeouts, clock=clock, on_error=on_error)
        self._watchers = self._upkeep.watchers
        self._tasks = TaskKeeper(on_error)
        self._running: list[Callable[[], bool]] = []
        self.loads = 0

    async def open(self) -> None:
        """Begin to hear of revocations and to write activity behind. Raises StoreUnavailable."""
        await self._invalidations.open(self)
        for name, work in (
            ("session activity", self._activity.run()),
            ("session renewals", self._renewer.run()),
            ("session tabs", self.tabs.run()),
            ("session watchers", self._upkeep.run_rechecks()),
            ("session upkeep", self._upkeep.run_cleaning()),
        ):
            self._running.append(self._tasks.start(work, name=name).done)

    async def close(self) -> None:
        """Stop, and write what is pending. Raises StoreUnavailable when that cannot be written."""
        await self._tasks.close()
        self._running.clear()
        await self._invalidations.close()
        self._fresh_until = -math.inf
        await self._activity.flush()
        await self._renewer.flush()
        await self.tabs.flush()

    async def __aenter__(self) -> SessionManager:
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def healthy(self, now: float) -> bool:
        """Whether revocations are being heard and activity is being written."""
        return (
            self._monotonic() < self._fresh_until
            and not self._activity.failing
            and not self._renewer.failing
            and not self.tabs.failing
            and bool(self._running)
            and not any(done() for done in self._running)
        )

    # What the gate asks.

    def peek(self, cookie: bytes, now: float) -> Session | EndReason | None:
        """Answer from the cache; None when only the store can tell, which includes every end by time.

        Deadlines are exact; the answer's `last_seen_at` may be behind by a look at the channel (`FRESH` at
        most), because a page's burst of requests is answered with one object.
        """
        if self._monotonic() >= self._fresh_until:
            return None
        built = self._hot.get(cookie)
        if built is not None and now < built[1]:
            return built[0]
        entry = self._table.get(cookie)
        if entry is None:
            return None
        before, after, user, step, headers, over_at, key, idle = entry
        seen = self._seen[key]
        until = seen + idle
        if over_at < until:
            until = over_at
        if now >= until:
            return None
        # Concatenation, not a display with stars: a third faster.
        record = _new(SessionRecord, before + (seen,) + after)
        session: Session = _new(Session, (record, _new(UserRecord, user), step, headers))
        if len(self._hot) < HOT:
            self._hot[cookie] = (session, until)
        return session

    async def load(self, cookie: bytes, now: float) -> Session | EndReason:
        """Answer from the store, and remember the answer. Raises StoreUnavailable."""
        self.loads += 1
        session_id = self._signer.read(cookie)
        if session_id is None:
            return EndReason.UNKNOWN
        found = await self._reader.read(session_key(session_id), now)
        if isinstance(found.answer, Session):
            self._remember(cookie, found.answer, found.generation)
        return found.answer

    async def ended(self, cookie: bytes) -> Ended | None:
        """Whose session this cookie was of, and how it ended. Raises StoreUnavailable."""
        session_id = self._signer.read(cookie)
        return None if session_id is None else await self._store.ended(session_key(session_id))

    def touch(self, session: Session, now: float) -> None:
        """The person was active at `now`. Activity after the deadline is none: it revives nothing."""
        record = session.record
        key = record.key
        previous = self._seen.get(key)
        if previous is not None:
            if now <= previous or (now >= previous + self._idle and not record.remembered):
                return
            self._seen[key] = now
        self._activity.note(key, now, previous)
        self._renewals.note_use(session, now)

    def used(self, session: Session, now: float, *, navigation: bool) -> None:
        """See `core.protocols.SessionGuard`."""
        self.tabs.used(session, now, navigation=navigation)

    def watch(self, session: Session, on_revoked: Callable[[], None]) -> Callable[[], None]:
        """Call `on_revoked` once when the session is signed out or revoked; returns the way to stop."""
        key = session.record.key
        stop = self._watchers.add(key, session.record.user_id, on_revoked)
        if key not in self._cache:
            # It may have been revoked since it was read, before anybody watched.
            self._upkeep.doubt([key])
        return stop

    # What sign-in, sign-out and administration ask.

    async def start(
        self,
        user_id: int,
        *,
        methods: str,
        remembered: bool,
        client: str,
        user_agent: str,
        second_factor_at: float = 0.0,
    ) -> tuple[Session, str]:
        """Start a session after the first factor was proved: the session and the cookie's value.

        `methods` are RFC 8176 names. `remembered` counts only where sessions are remembered at all
        (`Timeouts.remember`). `second_factor_at` is when a second one was proved, too (epoch seconds); 0.0
        for none. Raises SessionOver when the account is gone or disabled, and StoreUnavailable.
        """
        generation = self._cache.generation
        session, cookie = await self._progress.start(
            user_id,
            methods=methods,
            remembered=remembered,
            client=client,
            user_agent=user_agent,
            second_factor_at=second_factor_at,
        )
        self._remember(cookie.encode("ascii"), session, generation)
        return session, cookie

    async def step_up(
        self, session: Session, *, method: str = "", second_factor: bool = False
    ) -> tuple[Session, str]:
        """Give the session a new id and what was proved; the old id is answered for `GRACE` seconds.

        `method` are further RFC 8176 names, "" when only the id changes (after a password change);
        `second_factor` says that one was proved now. All deadlines go on counting from the start. The
        account is read afresh, so the answer's `step` is the next one. Raises SessionOver when the session
        ended, or was already replaced, in the meantime; StoreUnavailable.
        """
        return await self._progress.step_up(session, method=method, second_factor=second_factor)

    async def skip(self, session: Session, step: str) -> Session:
        """Note that the person skipped `step` in this session, and answer with what comes next.

        Whether it may be skipped is for `next_step`: one that may not stays the next. Raises SessionOver,
        also for an id that was replaced; StoreUnavailable.
        """
        return await self._progress.skip(session, step)

    async def refresh(self, session: Session) -> Session:
        """Read session and account again right now, past the cache. Raises SessionOver, StoreUnavailable."""
        return await self._progress.refresh(session)

    async def end(self, session: Session, reason: EndReason) -> bool:
        """End one session everywhere, here at once; False when it was over already."""
        return await self.end_key(session.record.key, reason)

    async def end_key(self, key: bytes, reason: EndReason) -> bool:
        """The same by the store's key, for lists of sessions."""
        over = await self._store.end(key, reason, self._clock())
        self._cache.drop_key(key)
        self._watchers.fire([key])
        return over

    async def end_user(self, user_id: int, reason: EndReason, *, keep: bytes | None = None) -> int:
        """End all sessions of a user but the one with the key `keep`; the number ended."""
        number = await self._store.end_user(user_id, reason, self._clock(), keep=keep)
        self.changed([Revocation(None, user_id)])
        return number

    async def list(self, user_id: int | None = None) -> builtins.list[SessionRecord]:
        """The sessions that are alive, of one user or of all, the last active first.

        Without half-finished sign-ins: nobody is signed in by those. `SessionRecord.public_id` tells
        sessions apart on a page, and `record.key == session.record.key` says which one is asking.
        """
        return await self._reader.list(user_id, self._clock())

    async def end_listed(self, user_id: int, public_id: str, reason: EndReason) -> bool:
        """End the session of this user that the list shows under `public_id`; False when there is none.

        Somebody else's session is never found, whatever `public_id` is.
        """
        keys = [record.key for record in await self._store.list(user_id) if record.public_id == public_id]
        return any([await self.end_key(key, reason) for key in keys])

    # What the invalidation channel tells.

    def heard(self, at: float) -> None:
        self._fresh_until = at + FRESH
        self._hot.clear()

    def changed(self, announced: Sequence[Revocation]) -> None:
        doubtful: list[bytes] = []
        for key, user_id in announced:
            if key is not None:
                self._cache.drop_key(key)
                doubtful.append(key)
            if user_id is not None:
                self._cache.drop_user(user_id)
                doubtful.extend(self._watchers.keys_of_user(user_id))
        self._upkeep.doubt(doubtful)

    def lost(self) -> None:
        self._cache.clear()
        self._upkeep.doubt(self._watchers.keys())

    def _remember(self, cookie: bytes, session: Session, generation: int) -> None:
        if generation == self._cache.generation:
            idle = math.inf if session.record.remembered else self._idle
            self._cache.put(cookie, session, self._reader.over_at(session), idle)
