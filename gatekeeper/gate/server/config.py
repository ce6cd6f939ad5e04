"""What the server allows one client to take: sizes in bytes, times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

OnRefusal = Callable[[str, int, str], None]
"""Called once for every refusal with a stable reason code, the status (0 when nothing could be answered)
and the client's address ("" on a unix socket)."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Caps and time limits of `StrictProtocol`. Times are looked at once a second."""

    request_line: int = 32_768
    """Answered 414 beyond it."""
    head: int = 65_536
    """Request line and header block together: 431 beyond it."""
    headers: int = 128
    """Header lines: 431 beyond it."""
    body: int = 1 << 30
    """Answered 413: at once by Content-Length, while it arrives when chunked."""
    trailers: int = 8_192
    """Trailer section, which is dropped; also all chunk extensions of one body together."""

    head_seconds: float = 10.0
    """From a request's first byte to its last header byte (408), and from connecting to a first byte."""
    body_seconds: float = 20.0
    """A window in which `body_rate` must be met while the application takes what arrives (408)."""
    body_rate: int = 50
    """Bytes a second, averaged over `body_seconds`."""
    write_seconds: float = 30.0
    """A window in which `write_rate` must be met once the client is behind with reading; else cut off."""
    write_rate: int = 50
    idle_seconds: float = 75.0
    """Keep-alive: how long a connection waits for its next request."""
    linger_seconds: float = 2.0
    """How long a refused client's bytes are still taken, so that it can read the refusal."""
    drain: int = 262_144
    """Unread body that is discarded to keep the connection after an early answer; beyond it, it is closed."""

    connections: int = 10_000
    """All clients together, a WebSocket counting twice (it has an upstream side): 503 beyond it."""
    connections_per_client: int = 512
    """One address (IPv6: one /64): 429 beyond it. Unix sockets are exempt."""
    exempt: tuple[IPv4Network | IPv6Network, ...] = ()
    """Trusted proxies: the per-client cap does not apply to them."""
    shed: int = 64
    """How many connections beyond `connections` are told so before the rest is dropped without a word."""
