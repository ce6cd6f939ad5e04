"""Remembered sessions last from their last renewal; use renews them, at most every `RENEW_EVERY` seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import EndReason, Session, SessionRecord, Timeouts, ended, last_renewal
from gatekeeper.sessions.cache import SessionCache
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.renewals import RENEW_EVERY, Renewals

_GATHER = 0.2
"""Seconds in which renewals come together for one transaction."""

_RETRY = 1.0


class Renewer:
    """Carries out what `Renewals` gathered, after a fresh look at session and account."""

    def __init__(
        self,
        store: SessionStore,
        reader: SessionReader,
        cache: SessionCache,
        renewals: Renewals,
        timeouts: Timeouts,
        *,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.failing = False
        self._store = store
        self._reader = reader
        self._cache = cache
        self._renewals = renewals
        self._timeouts = timeouts
        self._on_error = on_error
        self._one_flush = asyncio.Lock()

    async def run(self) -> None:
        """Renew for ever; an outage of the store is reported once and ridden out."""
        while True:
            await self._renewals.wait()
            await asyncio.sleep(_GATHER)
            try:
                await self.flush()
            except StoreUnavailable as error:
                if not self.failing:
                    self._on_error(error)
                self.failing = True
                await asyncio.sleep(_RETRY)

    async def flush(self) -> None:
        """Renew what is pending. Raises StoreUnavailable, and then keeps it for the next time."""
        async with self._one_flush:
            with self._taken() as taken:
                good = [(key, at) for key, at in taken.items() if await self._still_good(key, at)]
                if good:
                    await self._store.renew(good, self._timeouts)
            # The next request reads the session afresh, and finds it renewed, or over.
            for key in taken:
                self._cache.drop_key(key)
            self.failing = False

    @contextmanager
    def _taken(self) -> Iterator[dict[bytes, float]]:
        taken = self._renewals.take()
        try:
            yield taken
        except BaseException:
            self._renewals.put_back()
            raise
        self._renewals.done()

    async def _still_good(self, key: bytes, at: float) -> bool:
        """Look again at what may have changed: the account, and the age of its password.

        What would not pass sign-in at this time without a further step ends here, so that the next sign-in
        leads through that step.
        """
        found = await self._reader.find(key)
        if isinstance(found, EndReason):
            return False
        record, user = found
        if not _due(self._reader.make(record, user), at) or ended(record, self._timeouts, at) is not None:
            return False
        if self._reader.make(record._replace(renewed_at=at), user).complete:
            return True
        await self._store.end(key, EndReason.ABSOLUTE, at)
        return False


def _due(session: Session, at: float) -> bool:
    """Another process may have renewed it; a half-finished sign-in never is."""
    record: SessionRecord = session.record
    return session.complete and record.remembered and at >= last_renewal(record) + RENEW_EVERY
