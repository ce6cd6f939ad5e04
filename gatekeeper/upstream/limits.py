"""How long the application may take, and how much of it we bear."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Seconds, counts and bytes."""

    connect_timeout: float = 5.0
    response_timeout: float = 60.0
    """From the end of the request to the end of the response's head."""
    idle_timeout: float = 60.0
    """Between two pieces of a body, either way, while the client is not what holds it up."""
    max_connections: int = 100
    queue_timeout: float = 10.0
    """How long a request waits for a connection when all are busy."""
    keep_alive: float = 30.0
    """An unused connection is closed after this; sooner when the application's Keep-Alive field says so."""
    quiet: float = 1.0
    """A request that must not be sent twice takes no connection that was unused for longer: the application
    may be closing it right now."""
    continue_timeout: float = 1.0
    """How long an `Expect: 100-continue` waits for an application that knows nothing of it.
    RFC 9110 section 10.1.1."""
    head_size: int = 65_536
    """Bytes of a response's head, interim responses included; also of its trailers."""
    tick: float = 0.25
    """How often deadlines are looked at: every time limit may be late by this much."""
