"""Time as an argument: one callable that the composition root makes and hands out."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since the epoch."""


class SteadyClock:
    """Wall-clock time that never goes back, so that setting the machine's clock back revives nothing.

    After a step back, time goes on at its pace from where it was, and so stays ahead of the wall clock until
    that has caught up: sessions and locks of the mean time end when they should.
    """

    __slots__ = ("_latest", "_monotonic", "_source", "_ticks")

    def __init__(self, source: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._latest = source()
        self._ticks = monotonic()

    def __call__(self) -> float:
        # The wall clock first: a pause between the two readings can then never put us ahead of it.
        now = self._source()
        ticks = self._monotonic()
        gone_on = self._latest + (ticks - self._ticks)
        self._ticks = ticks
        if gone_on > now:
            now = gone_on
        self._latest = now
        return now
