"""When each session was last active, or seen in a tab: noted in memory, written to the store in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gatekeeper.core.errors import StoreUnavailable

LONGEST_INTERVAL = 5.0


def flush_interval(lasting: float) -> float:
    """Seconds between two batches: a sixtieth of how long an entry lasts, at most 5 s."""
    return min(LONGEST_INTERVAL, lasting / 60.0)


class Activity:
    """The write-behind of times that only move forward: `last_seen_at`, or `tab_seen_at`.

    Another process that asks the store must not see a session over that is alive here. So what is noted when
    the stored value is about to run out, `lasting` seconds after it, does not wait for the next batch.
    """

    def __init__(
        self,
        write: Callable[[Sequence[tuple[bytes, float]]], Awaitable[None]],
        *,
        lasting: float,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.interval = flush_interval(lasting)
        self.failing = False
        self._write = write
        self._urgent_after = lasting - max(2 * self.interval, 1.0)
        self._on_error = on_error
        self._pending: dict[bytes, float] = {}
        self._flushing: dict[bytes, float] = {}
        self._wake = asyncio.Event()
        self._one_flush = asyncio.Lock()

    def note(self, key: bytes, now: float, previous: float | None) -> None:
        """`previous` is the last activity known before, None when not known."""
        pending = self._pending
        if key not in pending:
            if previous is None or now >= previous + self._urgent_after:
                self._wake.set()
            pending[key] = now
        elif now > pending[key]:
            pending[key] = now

    def latest(self, key: bytes, stored: float) -> float:
        """The last activity, when the store says `stored`."""
        return max(stored, self._pending.get(key, 0.0), self._flushing.get(key, 0.0))

    async def flush(self) -> None:
        """Write what is pending. Raises StoreUnavailable, and then keeps it for the next time."""
        async with self._one_flush:
            self._wake.clear()
            if not self._pending:
                return
            self._flushing, self._pending = self._pending, {}
            try:
                await self._write(list(self._flushing.items()))
                self._flushing = {}
                self.failing = False
            finally:
                for key, at in self._flushing.items():
                    self._pending[key] = self.latest(key, at)
                self._flushing = {}

    async def run(self) -> None:
        """Flush for ever; an outage of the store is reported once and ridden out."""
        while True:
            try:
                async with asyncio.timeout(self.interval):
                    await self._wake.wait()
            except TimeoutError:
                pass
            try:
                await self.flush()
            except StoreUnavailable as error:
                if not self.failing:
                    self._on_error(error)
                self.failing = True
                await asyncio.sleep(self.interval)
