"""Time as an argument: one callable that the composition root makes and hands out."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since the epoch."""


class SteadyClock:
    """Wall-clock time that never goes back, so that setting the machine's clock back revives nothing.

    After a step back, time stands still until the wall clock has caught up.
    """

    __slots__ = ("_latest", "_source")

    def __init__(self, source: Clock = time.time) -> None:
        self._source = source
        self._latest = source()

    def __call__(self) -> float:
        now = self._source()
        if now > self._latest:
            self._latest = now
        return self._latest
