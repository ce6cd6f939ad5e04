"""A served application that records what reaches it, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvicorn
import uvloop

from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.protocol import make_protocol
from gatekeeper.gate.server.registry import Registry
from gatekeeper.gate.server.run import StrictServer


@dataclass
class Recorded:
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = False


@dataclass
class Recorder:
    """An ASGI application: reads each request to its end, keeps it, answers 200 with the target."""

    requests: list[Recorded] = field(default_factory=list)

    @property
    def whole(self) -> list[Recorded]:
        return [request for request in self.requests if request.whole]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            return await send({"type": "websocket.close"})
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = Recorded(scope["method"], target, list(scope["headers"]))
        self.requests.append(request)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            request.body += message["body"]
            if not message["more_body"]:
                break
        request.whole = True
        length = str(len(target)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        return await send({"type": "http.response.body", "body": target})


@dataclass
class Served:
    address: Any
    refusals: list[tuple[str, int, str]]
    registry: Registry
    server: StrictServer
    loop: Any = None

    def connect(self, timeout: float = 5.0) -> socket.socket:
        client = socket.create_connection(self.address, timeout)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def call(self, work: Callable[[], Any]) -> None:
        """Run `work` on the server's loop and wait for it."""
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(5)


@contextmanager
def served(app: ASGIApp, limits: ServerLimits | None = None, **options: Any) -> Iterator[Served]:
    """The application under our protocol class, on a port of its own, on a thread's event loop."""
    limits = limits or ServerLimits()
    refusals: list[tuple[str, int, str]] = []
    registry = Registry(limits, lambda *refusal: refusals.append(refusal))
    config = uvicorn.Config(
        app,
        http=make_protocol(registry=registry),
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        timeout_graceful_shutdown=3,
        **options,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = StrictServer(config, limits)
    result = Served(listening.getsockname(), refusals, registry, server)
    ready = threading.Event()

    async def serve() -> None:
        result.loop = asyncio.get_running_loop()
        result.loop.call_soon(ready.set)
        await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield result
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


@dataclass
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Answers:
    """Reads responses one by one; httptools, the client's strict eye."""

    def __init__(self) -> None:
        self.complete: list[Answer] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.complete.append(Answer(status, self._headers, self._body))


def read_answers(client: socket.socket, count: int | None) -> tuple[list[Answer], bytes]:
    """Read `count` responses, or with None until the server ends the connection; also the raw bytes."""
    answers, raw = Answers(), b""
    while count is None or len(answers.complete) < count:
        data = client.recv(65536)
        if not data:
            break
        raw += data
        answers.feed(data)
    return answers.complete, raw
