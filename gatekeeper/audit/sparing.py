"""How much a stranger may have written down: a flood of refused requests must not become one of commits.

In memory and for each process by itself, because asking the database is what is to be spared.
"""

from __future__ import annotations

from gatekeeper.core.clock import Clock
from gatekeeper.core.networks import network_of

PERIOD = 60.0
"""Seconds in which an empty bucket is full again."""
PER_NETWORK = 10
"""Events of one client network at once, and as many again evenly spread over a period."""
IN_ALL = 60
"""The same for everybody together."""
NETWORKS = 1024
"""Networks that are remembered; more cannot become exhausted within a period, `IN_ALL` allows fewer."""


class Sparing:
    """One kind of event: says which ones may be written, and counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._all_full_at = 0.0
        self._not_recorded = 0

    def allows(self, client: str) -> bool:
        """Whether an event of `client` may be written now; it is counted if not."""
        now, network = self._clock(), network_of(client)
        mine = _take(self._full_at.get(network, 0.0), now, PER_NETWORK)
        everybody = _take(self._all_full_at, now, IN_ALL)
        if mine is None or everybody is None:
            self._not_recorded += 1
            return False
        self._make_room(now)
        self._full_at[network], self._all_full_at = mine, everybody
        return True

    def take_not_recorded(self) -> int:
        """How many were not written since this was last asked."""
        taken, self._not_recorded = self._not_recorded, 0
        return taken

    def give_back(self, number: int) -> None:
        """The row that was to tell of `number` events could not be written."""
        self._not_recorded += number

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < NETWORKS:
            return
        self._full_at = {network: full_at for network, full_at in self._full_at.items() if full_at > now}
        while len(self._full_at) >= NETWORKS:
            del self._full_at[next(iter(self._full_at))]


def _take(full_at: float, now: float, number: int) -> float | None:
    """When a bucket of `number` is full again after one more was taken; None when it is empty.

    More than a whole bucket is missing only when the clock was set back: then counting begins anew.
    """
    cost = PERIOD / number
    latest = now + PERIOD + cost / 1e6
    after = max(full_at, now) + cost if full_at <= latest else now + cost
    return after if after <= latest else None
