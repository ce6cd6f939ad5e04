"""A scripted application on a raw socket, and a client that speaks ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop

from gatekeeper.core.protocols import Message, Scope
from gatekeeper.upstream.app import UpstreamApp
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin

T = TypeVar("T")
HeaderPairs = list[tuple[bytes, bytes]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(story: Coroutine[Any, Any, T], *, seconds: float = 10) -> T:
    """Run a story on the loop of production, in at most `seconds`."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await story

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


class Peer:
    """One connection as the application sees it: asserts exact bytes, answers exact bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def read(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> bytes:
        """Read one head, answer it; the head."""
        head = await self.head()
        await self.send(data)
        return head

    async def gone(self) -> bool:
        """Wait until the other side has closed or reset; False when it sends bytes instead."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Application:
    """How often the fake was connected to, and at which address."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0
        self.errors: list[BaseException] = []

    @property
    def origin(self) -> Origin:
        return Origin("http", "127.0.0.1", self.port)


@asynccontextmanager
async def application(script: Script, **options: Any) -> AsyncIterator[Application]:
    """Serve `script` on a free port; what it raises fails the test."""
    fake = Application()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        fake.connections += 1
        try:
            await script(Peer(reader, writer, fake.connections))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, asyncio.CancelledError):
                fake.errors.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
        if tasks:
            await asyncio.wait(tasks, timeout=2)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if fake.errors:
        raise fake.errors[0]


class Now:
    """A clock that a story moves by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@asynccontextmanager
async def proxy(
    fake: Application | Origin, limits: UpstreamLimits | None = None, **options: Any
) -> AsyncIterator[UpstreamApp]:
    """The proxy before `fake`; an error in a background task fails the test."""
    errors: list[BaseException] = []
    origin = fake.origin if isinstance(fake, Application) else fake
    app = UpstreamApp(origin, limits=limits, on_error=errors.append, **options)
    try:
        yield app
    finally:
        await app.aclose()
    if errors:
        raise errors[0]


def scope(
    method: str = "GET",
    path: bytes = b"/",
    headers: HeaderPairs | None = None,
    *,
    query: bytes = b"",
    version: str = "1.1",
) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "http_version": version,
        "headers": [(b"host", b"www.example.com")] if headers is None else headers,
    }


class Client:
    """One request as the server would hand it over. Its answer grows in `status`, `headers` and `body`."""

    def __init__(self, app: UpstreamApp, of: Scope | None = None, *body: bytes, end: bool = True) -> None:
        self._app = app
        self._scope = of or scope()
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self.asked = 0
        """How often the request's body was asked for."""
        self.status = 0
        self.headers: HeaderPairs = []
        self.pieces: list[bytes] = []
        self.complete = False
        self.writable = asyncio.Event()
        self.writable.set()
        self.news = asyncio.Event()
        for index, piece in enumerate(body):
            self.say(piece, more=not end or index < len(body) - 1)
        if not body and end:
            self.say(b"", more=False)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def header(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    def say(self, piece: bytes, *, more: bool) -> None:
        self._messages.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def run(self) -> Client:
        await self._app(self._scope, self._receive, self._send)
        return self

    def start(self) -> asyncio.Task[Client]:
        return asyncio.get_running_loop().create_task(self.run())

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self.news.clear()
            await self.news.wait()

    async def _receive(self) -> Message:
        self.asked += 1
        self.news.set()
        return await self._messages.get()

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert self.status == 0
            self.status = message["status"]
            self.headers = message["headers"]
        else:
            assert self.status and not self.complete
            self.pieces.append(message["body"])
            self.complete = not message["more_body"]
        self.news.set()
        await self.writable.wait()


async def fetch(app: UpstreamApp, of: Scope | None = None, *body: bytes) -> Client:
    """One whole request and answer."""
    return await Client(app, of, *body).run()
