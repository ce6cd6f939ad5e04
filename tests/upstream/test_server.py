"""The proxy inside a real server, a raw client before it and a raw application behind it."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from gatekeeper.upstream.app import UpstreamApp
from gatekeeper.upstream.limits import UpstreamLimits
from tests.upstream.harness import OK, Application, Peer, Script, application, proxy, run


class Browser:
    """A raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def served(
    script: Script, limits: UpstreamLimits | None = None
) -> AsyncIterator[tuple[Browser, Application]]:
    async with application(script) as fake, proxy(fake, limits) as app, browsing(app) as browser:
        yield browser, fake


@asynccontextmanager
async def browsing(app: UpstreamApp) -> AsyncIterator[Browser]:
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Browser(reader, writer)
    finally:
        writer.close()
        await server.shutdown()


GET = b"GET / HTTP/1.1\r\nhost: www.example.com\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nhost: www.example.com\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("request_head", "answer", "seen"),
    [
        (GET, OK, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (
            GET.replace(b"GET", b"HEAD"),
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        ),
        (GET, b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"),
        (
            GET,
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: x\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n",
        ),
        (
            GET,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-user: eve\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
    ],
)
def test_what_a_client_sees_byte_for_byte(request_head: bytes, answer: bytes, seen: bytes) -> None:
    async def script(peer: Peer) -> None:
        while True:
            try:
                await peer.answer(answer)
            except asyncio.IncompleteReadError:
                return

    async def story() -> None:
        async with served(script) as (browser, fake):
            for _ in range(3):
                await browser.ask(request_head)
                assert await browser.reader.readexactly(len(seen)) == seen
            assert fake.connections == 1

    run(story())


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
    ],
)
def test_an_answer_that_breaks_off_breaks_off_for_the_client(start: bytes) -> None:
    async def story() -> None:
        seen = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(start)
            await seen.wait()

        async with served(script) as (browser, _):
            await browser.ask(GET)
            await browser.head()
            await browser.reader.readuntil(b"part")
            seen.set()
            assert b"0\r\n\r\n" not in await browser.reader.read()

    run(story())


def test_an_expectation_is_met_end_to_end() -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await asked.wait()
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await peer.read(5) == b"hello"
            await peer.send(OK)

        async with served(script) as (browser, _):
            await browser.ask(EXPECTING)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await browser.head()
            asked.set()
            assert await browser.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await browser.ask(b"hello")
            assert await browser.reader.readexactly(40) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    run(story())


def test_an_expectation_can_be_refused_before_any_body() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")

        async with served(script) as (browser, _):
            await browser.ask(EXPECTING)
            assert (await browser.head()).startswith(b"HTTP/1.1 417 ")

    run(story())


def test_a_client_that_hangs_up_takes_the_request_along() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            browser.writer.transport.abort()
            assert await peer.gone()
            gone.set()

        gone = asyncio.Event()
        async with served(script, UpstreamLimits(tick=0.02)) as (browser, _):
            await browser.ask(GET)
            await gone.wait()

    run(story())


@pytest.mark.parametrize("size", [20_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_big_body_goes_through_both_ways_unchanged_in_little_memory(size: int, chunked: bool) -> None:
    piece = bytes(range(256)) * 400
    pieces = size // len(piece)
    length = pieces * len(piece)
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % length

    async def story() -> tuple[str, str, str]:
        up, down, sent = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

        async def script(peer: Peer) -> None:
            assert framing in await peer.head()
            await receive(peer.reader, up)
            await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
            await transmit(peer.writer, None)

        async def receive(reader: asyncio.StreamReader, digest: hashlib._Hash) -> None:
            left = length
            while left:
                wanted = left
                if chunked:
                    wanted = int(await reader.readuntil(b"\r\n"), 16)
                left -= wanted
                while wanted:
                    data = await reader.read(min(wanted, 262_144))
                    assert data
                    digest.update(data)
                    wanted -= len(data)
                if chunked:
                    await reader.readexactly(2)
            if chunked:
                assert await reader.readexactly(5) == b"0\r\n\r\n"

        async def transmit(writer: asyncio.StreamWriter, digest: hashlib._Hash | None) -> None:
            for _ in range(pieces):
                writer.writelines([b"%x\r\n" % len(piece), piece, b"\r\n"] if chunked else [piece])
                if digest is not None:
                    digest.update(piece)
                await writer.drain()
            if chunked:
                writer.write(b"0\r\n\r\n")

        async with served(script) as (browser, _):
            await browser.ask(b"POST / HTTP/1.1\r\nhost: www.example.com\r\n" + framing + b"\r\n\r\n")
            await transmit(browser.writer, sent)
            await browser.head()
            await receive(browser.reader, down)
        return up.hexdigest(), down.hexdigest(), sent.hexdigest()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    up, down, sent = run(story(), seconds=10 if size < 100_000_000 else 120)
    assert up == down == sent
    # kB; client, proxy, server and application all live in this process.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
