"""The renewals of remembered sessions that use has asked for and that are not written down yet."""

from __future__ import annotations

import asyncio

from gatekeeper.core.session import Session, SessionRecord, Timeouts, ended, last_renewal

RENEW_EVERY = 300.0
"""Seconds from one renewal of a session to the next."""

_MANY = 1_024


class Renewals:
    """In memory; `sessions.renewal.Renewer` carries them out."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._pending: dict[bytes, float] = {}
        self._taken: dict[bytes, float] = {}
        self._last: dict[bytes, float] = {}
        self._prune_at = _MANY
        self._wake = asyncio.Event()

    def note_use(self, session: Session, now: float) -> None:
        """A session is used, or open in a tab, at `now`: renewed when it is remembered and that is due."""
        record = session.record
        if record.remembered and session.step == "" and now >= last_renewal(record) + RENEW_EVERY:
            self.note(record.key, now)

    def note(self, key: bytes, now: float) -> None:
        """A session whose renewal looks due is used at `now`.

        Whoever asks may hold the session as it was hours ago (a WebSocket does), hence the look at when it
        was noted last.
        """
        last = self._last.get(key)
        if last is not None and now < last + RENEW_EVERY:
            return
        if len(self._last) >= self._prune_at:
            self._last = {other: at for other, at in self._last.items() if now < at + RENEW_EVERY}
            self._prune_at = max(_MANY, 2 * len(self._last))
        self._last[key] = now
        self._pending.setdefault(key, now)
        self._wake.set()

    def applied_to(self, record: SessionRecord) -> SessionRecord:
        """`record` with its renewal that is under way, when it was used in time."""
        at = max(self._pending.get(record.key, 0.0), self._taken.get(record.key, 0.0))
        if at <= record.renewed_at or not record.remembered or ended(record, self._timeouts, at) is not None:
            return record
        return record._replace(renewed_at=at)

    async def wait(self) -> None:
        await self._wake.wait()

    def take(self) -> dict[bytes, float]:
        self._wake.clear()
        self._taken, self._pending = self._pending, {}
        return self._taken

    def put_back(self) -> None:
        self._pending = {**self._pending, **self._taken}
        self._taken = {}
        self._wake.set()

    def done(self) -> None:
        self._taken = {}
