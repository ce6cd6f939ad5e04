"""Is this machine's clock right? Others are asked what time it is: HTTP answers carry a Date.

Authenticator codes change every 30 seconds, and tokens of identity providers are valid for minutes.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Mapping

from gatekeeper.core.clock import Clock
from gatekeeper.doctor.http import HttpAnswer, NoAnswer
from gatekeeper.doctor.protocol import Finding, fail, ok, warn

OFF = 5.0
WRONG = 25.0
"""Seconds: beyond it codes are refused that are right."""

_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_SET = "set the clock and keep it set (timedatectl set-ntp true, or chrony)"

Ask = Callable[[], Awaitable[HttpAnswer]]


def kernel_synchronised() -> bool | None:
    """Whether the kernel knows its clock to be kept right; None where it does not say."""
    buffer = ctypes.create_string_buffer(1024)  # struct timex, modes 0: nothing is changed
    state = ctypes.CDLL(None).adjtimex(buffer)
    return None if state < 0 else state != _UNSYNCHRONISED


class ClockCheck:
    """`others` are asked beside each other, by the name that the finding gives them."""

    name = "clock"

    def __init__(
        self,
        others: Mapping[str, Ask],
        *,
        clock: Clock,
        synchronised: Callable[[], bool | None] = kernel_synchronised,
    ) -> None:
        self._others = others
        self._clock = clock
        self._synchronised = synchronised

    async def run(self) -> list[Finding]:
        names = list(self._others)
        asked = await asyncio.gather(*(self._difference(self._others[name]) for name in names))
        known = {name: off for name, off in zip(names, asked, strict=True) if off is not None}
        if not known:
            if self._synchronised():
                return [ok("the system keeps it synchronised; nobody else could be asked")]
            return [warn("nobody could be asked what time it is", _SET)]
        findings = []
        for name, off in known.items():
            text = f"{abs(off):.0f} s {'behind' if off > 0 else 'ahead of'} {name}"
            if abs(off) >= WRONG:
                findings.append(fail(text, f"{_SET}; or {name} is wrong"))
            elif abs(off) >= OFF:
                findings.append(warn(text, f"{_SET}; or {name} is wrong"))
            else:
                findings.append(ok(f"agrees with {name}"))
        return findings

    async def _difference(self, ask: Ask) -> float | None:
        """Seconds that the other is ahead of us; 0 when its second is any between asking and hearing."""
        began = self._clock()
        try:
            date = (await ask()).date
        except NoAnswer:
            return None  # the check of that part says so
        if date is None:
            return None
        if date + 1.0 < began:
            return date + 1.0 - began
        return max(0.0, date - self._clock())
