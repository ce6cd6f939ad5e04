"""All connections of one process: counted, capped, and looked at once a second for those out of time.

One coarse sweep instead of a timer per request: arming and cancelling a timer costs more than reading a head.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gatekeeper.gate.server.config import OnRefusal, ServerLimits

SWEEP_SECONDS = 1.0
NEVER = float("inf")


class Watched(Protocol):
    """A connection as the sweep sees it: times on the registry's clock."""

    deadline: float
    write_deadline: float

    def expire(self, now: float) -> None:
        """A deadline has passed: end the connection or set a new one."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A connection too many. `quiet`: so many that not even an answer is spent on it."""

    status: int
    reason: str
    quiet: bool


class Registry:
    """Counts connections and sweeps them. One per protocol class that `make_protocol` makes.

    `clock` is seconds on any scale; by default the event loop's.
    """

    def __init__(
        self, limits: ServerLimits, on_refusal: OnRefusal, clock: Callable[[], float] | None = None
    ) -> None:
        self.limits = limits
        self.on_refusal = on_refusal
        self.connections: set[Watched] = set()
        self.tunnels = 0
        self.stopping = False
        """Whether the server accepts nobody new: connections still in their TLS hand-shake learn it here."""
        self._per_client: dict[str, int] = {}
        self._clock = clock
        self.now: Callable[[], float] = clock or (lambda: 0.0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def load(self) -> int:
        """Connections in use, a WebSocket twice: it has an upstream side of its own."""
        return len(self.connections) + self.tunnels

    def enter(self, connection: Watched, client: str, loop: asyncio.AbstractEventLoop) -> Excess | None:
        """Count a connection in; how to refuse it when there are too many."""
        if self._timer is None or self._loop is not loop:
            self._start(loop)
        limits = self.limits
        self.connections.add(connection)
        key = client_key(client)
        count = self._per_client.get(key, 0) + 1
        self._per_client[key] = count
        over = self.load - limits.connections
        if over > 0:
            return Excess(503, "too_many_connections", over > limits.shed)
        over = count - limits.connections_per_client
        if over > 0 and client and not self._exempt(client):
            return Excess(429, "too_many_connections_of_client", over > limits.shed)
        return None

    def leave(self, connection: Watched, client: str) -> None:
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        key = client_key(client)
        count = self._per_client.get(key, 0) - 1
        if count > 0:
            self._per_client[key] = count
        else:
            self._per_client.pop(key, None)

    def sweep(self, now: float) -> None:
        """Let every connection whose time is up know."""
        late = [c for c in self.connections if c.deadline <= now or c.write_deadline <= now]
        for connection in late:
            connection.expire(now)

    def _exempt(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.limits.exempt)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        if self._clock is None:
            self.now = loop.time
        self._timer = loop.call_later(SWEEP_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self.connections and self._loop is not None:
            self._start(self._loop)
            self.sweep(self.now())


def client_key(client: str) -> str:
    """What counts as one client: an IPv4 address (mapped or not), an IPv6 /64."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
