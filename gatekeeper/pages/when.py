"""Times for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Moment(NamedTuple):
    """`text` is shown; `iso` is the value of HTML's `datetime`, from which the script writes local time."""

    text: str
    iso: str


def moment(at: float) -> Moment:
    """Seconds since the epoch in words, in UTC: without a script nobody knows the person's zone."""
    time = datetime.fromtimestamp(at, UTC)
    return Moment(f"{time:%Y-%m-%d %H:%M} UTC", time.isoformat(timespec="seconds"))
