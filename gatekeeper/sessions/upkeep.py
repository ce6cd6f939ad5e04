"""What goes on behind the requests: telling watchers, writing down ends by time, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import Timeouts, cutoffs
from gatekeeper.sessions.activity import flush_interval
from gatekeeper.sessions.reader import SessionReader
from gatekeeper.sessions.watchers import Watchers

REMEMBERED_END = 86_400.0
"""Seconds for which it is known why a session ended, so that the next page view can say so."""

CLEANING = 60.0
"""Seconds between two cleanings."""

_RETRY = 0.5


class Upkeep:
    """Two loops, each run as a task by the manager."""

    def __init__(
        self,
        store: SessionStore,
        reader: SessionReader,
        timeouts: Timeouts,
        *,
        clock: Clock,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.watchers = Watchers(on_error)
        self._store = store
        self._reader = reader
        self._timeouts = timeouts
        self._clock = clock
        self._on_error = on_error
        self._doubtful: set[bytes] = set()
        self._doubted = asyncio.Event()

    def doubt(self, keys: Iterable[bytes]) -> None:
        """Something about these sessions changed: find out for their watchers whether they were revoked."""
        watched = [key for key in keys if key in self.watchers]
        if watched:
            self._doubtful.update(watched)
            self._doubted.set()

    async def run_rechecks(self) -> None:
        """Ask the store about doubtful sessions, again and again until it answers."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            try:
                while self._doubtful:
                    key = next(iter(self._doubtful))
                    revoked = key in self.watchers and await self._reader.revoked(key)
                    self._doubtful.discard(key)
                    if revoked:
                        self.watchers.fire([key])
            except StoreUnavailable as error:
                self._on_error(error)
                self._doubted.set()
                await asyncio.sleep(_RETRY)

    async def run_cleaning(self) -> None:
        while True:
            try:
                await self.clean(self._clock())
            except StoreUnavailable as error:
                self._on_error(error)
            await asyncio.sleep(CLEANING)

    async def clean(self, now: float) -> None:
        """Write down ends by time that nobody asked about, and forget ends that nobody asks about any more.

        Leaves the flush of another process ample time, so that nothing ends early. Raises StoreUnavailable.
        """
        margin = 2 * flush_interval(self._timeouts.idle) + CLEANING
        long_ago = now - REMEMBERED_END
        await self._store.expire(now, cutoffs(self._timeouts, now, margin=margin))
        await self._store.purge(cutoffs(self._timeouts, long_ago, margin=margin), ended_before=long_ago)
