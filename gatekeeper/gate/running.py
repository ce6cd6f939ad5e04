"""Answers under way: a revocation or the session's longest time cuts them, an idle end lets them finish."""

from __future__ import annotations

import asyncio

from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import SessionGuard
from gatekeeper.core.session import Session, Timeouts, longest_until


class SessionCut(Exception):
    """The session was revoked in the middle of an answer: the connection is aborted, not ended cleanly."""


class Under:
    """The answers under way for one session."""

    __slots__ = ("cut", "stop", "tasks", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        """When the session is over, however active."""
        self.tasks: set[asyncio.Task[object]] = set()
        self.cut: set[asyncio.Task[object]] = set()
        """Those that a revocation cancelled, until they have noticed."""
        self.stop = _nothing


def _nothing() -> None:
    return None


class Running:
    """All answers under way to signed-in people, by session.

    A session is watched from its first answer until `sweep` finds nothing under way any more, so that a
    request costs two operations on a set.
    """

    def __init__(self, guard: SessionGuard, timeouts: Timeouts, clock: Clock) -> None:
        self._guard = guard
        self._timeouts = timeouts
        self._clock = clock
        self._by_key: dict[bytes, Under] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def enter(self, session: Session, task: asyncio.Task[object]) -> Under:
        """Count `task` among the session's answers; give what this returns to `leave`."""
        under = self._by_key.get(session.record.key)
        if under is None:
            under = self._watch(session)
        under.tasks.add(task)
        return under

    def _watch(self, session: Session) -> Under:
        key, under = session.record.key, Under(longest_until(session.record, self._timeouts))
        self._by_key[key] = under

        def revoked() -> None:
            if self._by_key.get(key) is under:
                del self._by_key[key]
            self._cut(under)

        under.stop = self._guard.watch(session, revoked)
        return under

    @staticmethod
    def _cut(under: Under) -> None:
        going_on = under.tasks - under.cut
        under.cut |= going_on
        for task in going_on:
            task.cancel()

    @staticmethod
    def leave(under: Under, task: asyncio.Task[object]) -> None:
        under.tasks.discard(task)
        if under.cut:
            under.cut.discard(task)

    def sweep(self) -> None:
        """Cut what outlasts its session; stop watching the sessions for which nothing is under way."""
        now = self._clock()
        for under in list(self._by_key.values()):
            if under.tasks and now >= under.until:
                self._cut(under)
        for key in [key for key, under in self._by_key.items() if not under.tasks]:
            self._by_key.pop(key).stop()
