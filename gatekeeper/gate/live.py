"""Connections that outlive the decision that let them in: WebSockets are judged again while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gatekeeper.core.clock import Clock
from gatekeeper.core.context import Facts
from gatekeeper.core.errors import Undecidable
from gatekeeper.core.policy import Outcome, Policy, decide
from gatekeeper.core.protocols import SessionGuard
from gatekeeper.core.session import EndReason, Session

SWEEP_INTERVAL = 2.0
"""Seconds between two looks at all live WebSockets; a session's end reaches them well within 5 s."""


class _Live(NamedTuple):
    cookie: bytes
    facts: Facts
    policy: Policy
    end: Callable[[], None]


class LiveSockets:
    """All WebSockets of signed-in people. The gate sweeps for as long as it serves."""

    def __init__(self, guard: SessionGuard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock
        self._live: set[_Live] = set()

    def __len__(self) -> int:
        return len(self._live)

    def watch(
        self, cookie: bytes, session: Session, facts: Facts, policy: Policy, end: Callable[[], None]
    ) -> Callable[[], None]:
        """Call `end` once when the session is over or its owner may not do this any more, by `policy`."""
        live = _Live(cookie, facts, policy, end)
        self._live.add(live)
        stop_watching = self._guard.watch(session, lambda: self._end(live))

        def stop() -> None:
            self._live.discard(live)
            stop_watching()

        return stop

    def _end(self, live: _Live) -> None:
        if live in self._live:
            self._live.discard(live)
            live.end()

    async def sweep(self) -> None:
        """End every WebSocket whose session is over by now or no longer allowed."""
        for live in list(self._live):
            if not await self._still_allowed(live):
                self._end(live)

    async def _still_allowed(self, live: _Live) -> bool:
        now = self._clock()
        session = self._guard.peek(live.cookie, now)
        if session is None:
            try:
                session = await self._guard.load(live.cookie, now)
            except Undecidable:
                return False  # fail closed: who cannot be asked about is not let go on
        if isinstance(session, EndReason):
            return False
        return decide(live.policy, live.facts, session, now).outcome is Outcome.ALLOW
