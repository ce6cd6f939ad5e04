"""An application on `websockets`, the relay in front of it, and a client that sends any bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from gatekeeper.core.protocols import ASGIApp
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.protocol import make_protocol
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.websocket import WebSocketRelay

RAW = "raw"
PLAIN = "plain"
MESSAGE_MAX = 4 * 1024 * 1024
PUBLIC_ORIGIN = "http://office.example.com"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextlib.asynccontextmanager
async def served(app: ASGIApp, road: str) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """Run `app` under our own server (`RAW`) or a stock one (`PLAIN`); its port, and the server."""
    http: Any = make_protocol(ServerLimits(), lambda *_: None) if road == RAW else "h11"
    config = uvicorn.Config(
        app=app,
        http=http,
        ws="none" if road == RAW else "websockets-sansio",
        ws_max_size=MESSAGE_MAX,
        ws_ping_interval=None,
        proxy_headers=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        await server.startup(sockets=[listener])  # without the main loop, whose ticks take 0.1 s each
        try:
            yield listener.getsockname()[1], server
        finally:
            await server.shutdown(sockets=[listener])


@dataclass
class EchoApplication:
    """Sends every message back; remembers what it got and how each connection ended."""

    port: int = 0
    received: list[str | bytes] = field(default_factory=list)
    closed: list[tuple[int | None, str | None]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    async def handle(self, connection: ServerConnection) -> None:
        self.requests.append(connection.request)
        try:
            async for message in connection:
                self.received.append(message)
                await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            rcvd = connection.protocol.close_rcvd
            self.closed.append((rcvd.code, rcvd.reason) if rcvd is not None else (None, None))

    def forget(self) -> None:
        self.received.clear()
        self.closed.clear()
        self.requests.clear()


@contextlib.asynccontextmanager
async def application(handler: Callable[[ServerConnection], Any], **options: Any) -> AsyncIterator[int]:
    """A `websockets` server; its port."""
    options.setdefault("max_size", MESSAGE_MAX)
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(connection: ServerConnection) -> None:
        if (task := asyncio.current_task()) is not None:
            tasks.add(task)
        await handler(connection)

    server: Server = await serve(handle, "127.0.0.1", 0, ping_interval=None, close_timeout=1, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        try:
            await asyncio.wait_for(server.wait_closed(), 5)
        finally:  # a handler that waits for what a failed test did not do must not hang the run
            for task in tasks:
                task.cancel()


def relay(port: int, **options: Any) -> WebSocketRelay:
    options.setdefault("allowed_origins", [PUBLIC_ORIGIN])
    options.setdefault("message_max", MESSAGE_MAX)
    return WebSocketRelay(Origin.parse(f"http://127.0.0.1:{port}"), **options)


class RefusedHandshake(Exception):
    def __init__(self, status: int, head: str, body: bytes) -> None:
        super().__init__(status)
        self.status, self.head, self.body = status, head, body


class RawClient:
    """Speaks to a WebSocket server in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        headers: Sequence[str] = (),
        path: str = "/",
        early: bytes = b"",
        key: str | None = None,
        version: str = "13",
    ) -> RawClient:
        """Raises `RefusedHandshake` when the answer is not 101."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        key = key if key is not None else base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: office.example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {version}",
            *headers,
        ]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + early)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        if status != 101:
            body = await reader.read()
            writer.close()
            raise RefusedHandshake(status, head, body)
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert f"sec-websocket-accept: {accept.lower()}" in head.lower()
        return cls(reader, writer, head)

    async def frame(self) -> tuple[int, bool, bytes] | None:
        """The next frame as (opcode, fin, payload), None at the end of the stream."""
        try:
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "a server must not mask"
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            return first & 0x0F, bool(first & 0x80), await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def transcript(self, limit: int | None = None) -> list[tuple[Any, ...]]:
        """All frames until the server ends the connection, or `limit` frames; a Close as its code alone."""
        frames: list[tuple[Any, ...]] = []
        while (limit is None or len(frames) < limit) and (frame := await self.frame()) is not None:
            opcode, fin, payload = frame
            if opcode == Opcode.CLOSE:
                frames.append(("close", int.from_bytes(payload[:2], "big") if payload else None))
            else:
                content = payload if len(payload) <= 200 else hashlib.sha1(payload).hexdigest()
                frames.append((opcode, fin, content))
        return frames

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def masked(opcode: Opcode | int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame, whether or not a library would write it."""
    data = Frame(Opcode.TEXT, payload, fin).serialize(mask=True)
    return bytes((data[0] & 0x80 | rsv << 4 | int(opcode),)) + data[1:]


def unmasked(opcode: Opcode | int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    data = Frame(Opcode.TEXT, payload, fin).serialize(mask=False)
    return bytes((data[0] & 0x80 | rsv << 4 | int(opcode),)) + data[1:]


def closing(code: int | None = 1000, reason: bytes = b"") -> bytes:
    payload = b"" if code is None else code.to_bytes(2, "big") + reason
    return masked(Opcode.CLOSE, payload)
