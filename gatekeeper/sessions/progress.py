"""A session on its way through the steps of sign-in: what it gains, under which id."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import EndReason, Session, SessionRecord, Timeouts, UserRecord, ended
from gatekeeper.sessions.cache import SessionCache
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.signing import ID_BYTES, CookieSigner, session_key

GRACE = 10.0
"""Seconds in which a replaced id is still answered, at its old level."""


class Progress:
    """Steps up, skips, and reads again. Everything raises SessionOver and StoreUnavailable."""

    def __init__(
        self,
        store: SessionStore,
        reader: SessionReader,
        cache: SessionCache,
        signer: CookieSigner,
        *,
        timeouts: Timeouts,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._reader = reader
        self._cache = cache
        self._signer = signer
        self._timeouts = timeouts
        self._clock = clock
        self._random_bytes = random_bytes

    async def step_up(self, session: Session, *, method: str, second_factor: bool) -> tuple[Session, str]:
        old, user = await self._current(session)
        now = self._clock()
        session_id = self._random_bytes(ID_BYTES)
        record = old._replace(
            key=session_key(session_id),
            last_seen_at=max(now, old.last_seen_at),
            methods=" ".join(dict.fromkeys([*old.methods.split(), *method.split()])),
            second_factor_at=now if second_factor else old.second_factor_at,
        )
        if not await self._store.replace(old.key, record, grace_until=now + GRACE):
            gone = await self._store.get(old.key)
            raise SessionOver(gone if isinstance(gone, EndReason) else EndReason.REPLACED)
        self._cache.drop_key(old.key)
        return self._reader.make(record, user), self._signer.sign(session_id)

    async def skip(self, session: Session, step: str) -> Session:
        if len(step.split()) != 1:
            raise ValueError("a step is one word")
        await self._current(session)
        if not await self._store.skip(session.record.key, step, self._clock()):
            gone = await self._store.get(session.record.key)
            raise SessionOver(gone if isinstance(gone, EndReason) else EndReason.REPLACED)
        return await self.refresh(session)

    async def refresh(self, session: Session) -> Session:
        self._cache.drop_key(session.record.key)
        found = await self._reader.read(session.record.key, self._clock())
        if isinstance(found.answer, EndReason):
            raise SessionOver(found.answer)
        return found.answer

    async def _current(self, session: Session) -> tuple[SessionRecord, UserRecord]:
        """The record and the user as they are stored by now.

        Whether the time of a half-finished sign-in applies is judged from the session as it was when its
        request began: the step that was just taken may have made it look unfinished (a second factor was
        set up hours after sign-in, and is recorded in the session only now).
        """
        found = await self._reader.find(session.record.key)
        if isinstance(found, EndReason):
            raise SessionOver(found)
        record, user = self._reader.with_latest(found[0]), found[1]
        over = ended(record, self._timeouts, self._clock(), complete=session.complete)
        if over is not None:
            raise SessionOver(over)
        if record.grace_until:
            raise SessionOver(EndReason.REPLACED)
        return record, user
