"""The protocol without sockets: a transport in memory, and an event loop that is run until all is quiet."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from gatekeeper.core.protocols import ASGIApp, Immediate
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.protocol import StrictProtocol, make_protocol
from gatekeeper.gate.server.registry import Registry


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; `taken` by the client empties it. Closing waits for an empty buffer."""

    def __init__(self, peer: tuple[str, int] | None = ("192.0.2.1", 40000)) -> None:
        super().__init__({"peername": peer, "sockname": ("192.0.2.9", 80)})
        self.written = bytearray()
        self.unsent = 0
        self.over = False
        self.protocol: Any = None
        self.closing = self.aborted = self.eof = self.lost = self.paused = False
        self.holds = False
        """The client does not read: everything written stays in the buffer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof
        if self.closing:
            return
        self.written += data
        if self.holds:
            self.unsent += len(data)
            if self.unsent > 65536 and not self.over:
                self.over = True
                self.protocol.pause_writing()

    def take(self, count: int) -> None:
        """The client reads `count` bytes."""
        self.unsent = max(0, self.unsent - count)
        if self.over and self.unsent < 16384:
            self.over = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unsent:
            self._lose()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._lose()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Bench:
    """One server in memory: its clock is moved by hand, its sweep run by hand. Use inside a running loop."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ServerLimits | None = None,
        *,
        immediate: tuple[bytes, Immediate] | None = None,
    ) -> None:
        self.now = 1000.0
        self.refusals: list[tuple[str, int, str]] = []
        self.registry = Registry(
            limits or ServerLimits(), lambda *refusal: self.refusals.append(refusal), clock=lambda: self.now
        )
        self.config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None)
        self.config.proxy_headers = False
        self.state = ServerState()
        self._class = make_protocol(registry=self.registry, immediate=immediate)

    def connect(
        self, peer: tuple[str, int] | None = ("192.0.2.1", 40000)
    ) -> tuple[StrictProtocol, MemoryTransport]:
        if not self.config.loaded:
            self.config.load()
        protocol = self._class(self.config, self.state, {})
        transport = MemoryTransport(peer)
        transport.protocol = protocol
        protocol.connection_made(transport)
        return protocol, transport

    async def pass_time(self, seconds: float, step: float = 1) -> None:
        """Move the clock in steps, sweeping after each."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.registry.sweep(self.now)
            await settle()


async def settle(rounds: int = 12) -> None:
    """Let everything that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def status_of(transport: MemoryTransport) -> int:
    assert transport.written.startswith(b"HTTP/1.1 "), bytes(transport.written)
    return int(transport.written[9:12])
