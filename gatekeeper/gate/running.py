"""Answers under way: a revocation cuts them, however long they are."""

from __future__ import annotations

import asyncio

from gatekeeper.core.protocols import SessionGuard
from gatekeeper.core.session import Session


class Under:
    """The answers under way for one session."""

    __slots__ = ("cut", "stop", "tasks")

    def __init__(self) -> None:
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

    def __init__(self, guard: SessionGuard) -> None:
        self._guard = guard
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
        key, under = session.record.key, Under()
        self._by_key[key] = under

        def revoked() -> None:
            if self._by_key.get(key) is under:
                del self._by_key[key]
            under.cut |= under.tasks
            for task in under.tasks:
                task.cancel()

        under.stop = self._guard.watch(session, revoked)
        return under

    @staticmethod
    def leave(under: Under, task: asyncio.Task[object]) -> None:
        under.tasks.discard(task)
        if under.cut:
            under.cut.discard(task)

    def sweep(self) -> None:
        """Stop watching the sessions for which nothing is under way."""
        for key in [key for key, under in self._by_key.items() if not under.tasks]:
            self._by_key.pop(key).stop()
