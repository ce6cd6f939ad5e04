"""A session on its way through the steps of sign-in: how it begins, what it gains, under which id."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import SessionStore, UserDirectory
from gatekeeper.core.session import EndReason, Session, SessionRecord, Timeouts, UserRecord, ended
from gatekeeper.sessions.cache import SessionCache
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.signing import ID_BYTES, CookieSigner, session_key

GRACE = 10.0
"""Seconds in which a replaced id is still answered, at its old level."""

_LONGEST_CLIENT = 100
_LONGEST_USER_AGENT = 300


class Progress:
    """Starts, steps up, skips, and reads again. Everything raises SessionOver and StoreUnavailable."""

    def __init__(
        self,
        store: SessionStore,
        users: UserDirectory,
        reader: SessionReader,
        cache: SessionCache,
        signer: CookieSigner,
        *,
        timeouts: Timeouts,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._users = users
        self._reader = reader
        self._cache = cache
        self._signer = signer
        self._timeouts = timeouts
        self._clock = clock
        self._random_bytes = random_bytes

    async def start(
        self,
        user_id: int,
        *,
        methods: str,
        remembered: bool,
        client: str,
        user_agent: str,
        second_factor_at: float,
    ) -> tuple[Session, str]:
        user = await self._users.get(user_id)
        if user is None or user.disabled:
            raise SessionOver(EndReason.REVOKED)
        now = self._clock()
        session_id = self._random_bytes(ID_BYTES)
        record = SessionRecord(
            key=session_key(session_id),
            user_id=user.id,
            epoch=user.session_epoch,
            created_at=now,
            last_seen_at=now,
            remembered=remembered and self._timeouts.remember > 0.0,
            methods=methods,
            first_factor_at=now,
            second_factor_at=min(second_factor_at, now),
            client=client[:_LONGEST_CLIENT],
            user_agent=user_agent[:_LONGEST_USER_AGENT],
        )
        await self._store.create(record)
        return self._reader.make(record, user), self._signer.sign(session_id)

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
