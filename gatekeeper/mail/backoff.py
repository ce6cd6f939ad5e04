"""When a mail that could not be sent is tried again."""

from __future__ import annotations

FIRST = 60.0
LONGEST = 3_600.0
"""Seconds."""
_SPREAD = 0.25


def delay(attempts: int, jitter: float) -> float:
    """Seconds to wait after so many attempts: doubled from FIRST to LONGEST, and up to a quarter more.

    `jitter` from 0 to 1 is the share of that quarter, so that many mails do not come back at once.
    """
    doubled = FIRST * 2.0 ** min(max(attempts, 1) - 1, 16)
    return min(doubled, LONGEST) * (1.0 + _SPREAD * jitter)
