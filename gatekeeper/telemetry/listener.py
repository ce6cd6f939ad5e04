"""The separate listener: /metrics, /healthz and /readyz, for monitoring systems and nobody else.

So small that it needs no server: one GET a connection, a bounded head, a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

from gatekeeper.core.clock import Clock
from gatekeeper.telemetry.exposition import CONTENT_TYPE, Exposition

HEAD_MAX = 8192
SECONDS = 5.0
CONNECTIONS = 16


class MetricsListener:
    """Answers on bound sockets while `running`. `monotonic` is the clock that processes write by."""

    def __init__(self, exposition: Exposition, monotonic: Clock) -> None:
        self._exposition = exposition
        self._monotonic = monotonic
        self._open = 0

    @contextlib.asynccontextmanager
    async def running(self, sockets: list[socket.socket]) -> AsyncIterator[None]:
        servers = [await asyncio.start_server(self._serve, sock=sock, limit=HEAD_MAX) for sock in sockets]
        try:
            yield
        finally:
            for server in servers:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS:
                async with asyncio.timeout(SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a scraper that went away, or something that is none
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or parts[0] not in (b"GET", b"HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"GET only\n"
        else:
            status, kind, body = self._page(parts[1].partition(b"?")[0])
        lines = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        whole = (lines + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").encode("ascii")
        return whole if parts[0] == b"HEAD" else whole + body

    def _page(self, path: bytes) -> tuple[str, str, bytes]:
        if path == b"/metrics":
            return "200 OK", CONTENT_TYPE, self._exposition.text()
        if path == b"/healthz":
            return "200 OK", "application/json", b'{"healthy": true}\n'
        if path == b"/readyz":
            missing = self._exposition.missing(self._monotonic())
            body = json.dumps({"ready": not missing, "missing": missing}).encode("ascii") + b"\n"
            return "503 Service Unavailable" if missing else "200 OK", "application/json", body
        return "404 Not Found", "text/plain", b"/metrics, /healthz, /readyz\n"
