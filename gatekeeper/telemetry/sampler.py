"""How things are, written to the board every second; what only the stores know, every quarter of a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.board import Board

EVERY = 1.0
ASK_EVERY = 15


class Stored(NamedTuple):
    """What the stores know."""

    sessions: int | None
    """None where nobody can tell without looking at each."""
    mails: int
    oldest_mail: float
    """Seconds."""


class Sampler:
    """`gauges` are by cell of `telemetry.layout`; `ready` by the names in `layout.PARTS`."""

    def __init__(
        self,
        cells: Board,
        gauges: Mapping[int, Callable[[], int]],
        ready: Mapping[str, Callable[[], Awaitable[bool]]],
        stored: Callable[[], Awaitable[Stored]],
        *,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._cells = cells
        self._gauges = gauges
        self._ready = ready
        self._stored = stored
        self._monotonic = monotonic

    async def run(self) -> None:
        """Until cancelled."""
        turn = 0
        while True:
            await self.sample(ask=turn % ASK_EVERY == 0)
            turn += 1
            began = self._monotonic()
            await asyncio.sleep(EVERY)
            self._cells[at.LAG] = max(0, int((self._monotonic() - began - EVERY) * 1e6))

    async def sample(self, *, ask: bool) -> None:
        cells = self._cells
        for cell, gauge in self._gauges.items():
            cells[cell] = gauge()
        missing = 0
        for bit, part in enumerate(at.PARTS):
            if not await self._ready[part]():
                missing |= 1 << bit
        cells[at.MISSING] = missing
        if ask:
            try:
                found = await self._stored()
            except StoreUnavailable:
                cells[at.MISSING] |= 1 << at.PARTS.index("database")
            else:
                cells[at.SESSIONS] = -1 if found.sessions is None else found.sessions
                cells[at.OUTBOX] = found.mails
                cells[at.OUTBOX_AGE] = int(found.oldest_mail)
                cells[at.ASKED_AT] = int(self._monotonic() * 1000)
        cells[at.ALIVE] = int(self._monotonic() * 1000)
