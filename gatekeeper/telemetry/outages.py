"""Why requests were answered 503: an outage is one line a second for each reason, not one a request."""

from __future__ import annotations

from typing import Any, Protocol

from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import Undecidable

EVERY = 1.0
"""Seconds between two lines with the same reason."""


class Emit(Protocol):
    """The part of a structlog logger that is used."""

    def error(self, event: str, /, **fields: Any) -> Any: ...


class OutageLines:
    """Writes the lines. `clock` need not be the time of day (`time.monotonic`)."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}
        """By reason (a handful of constants): when a line was written, and how many were not since."""

    def report(self, request_id: str, error: Undecidable) -> None:
        """Say why the request `request_id` could not be decided, and of how many others it was not said."""
        now = self._clock()
        at, suppressed = self._last.get(error.reason, (now - EVERY, 0))
        if now - at < EVERY:
            self._last[error.reason] = (at, suppressed + 1)
            return
        self._last[error.reason] = (now, 0)
        self._emit.error(
            "answered 503",
            reason=error.reason,
            error=str(error),
            request_id=request_id,
            suppressed=suppressed,
        )
