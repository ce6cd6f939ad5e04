"""How a WebSocket ends through the relay: by its session, the server's stop, either side's going away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from gatekeeper.core.protocols import Receive, Scope, Send
from tests.websocket.support import (
    MESSAGE_MAX,
    PLAIN,
    RAW,
    EchoApplication,
    RawClient,
    application,
    closing,
    masked,
    relay,
    served,
    unmasked,
)

roads = pytest.mark.parametrize("road", [RAW, PLAIN])


class Session:
    """Stands where the gate puts the session: watches, counts activity."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[], None]] = []
        self.activity = 0
        self.finished = asyncio.Event()
        self.errors: list[BaseException] = []

    def watch(self, end: Callable[[], None]) -> Callable[[], None]:
        self.watchers.append(end)
        return lambda: self.watchers.remove(end)

    def active(self) -> None:
        self.activity += 1

    def revoke(self) -> None:
        for end in list(self.watchers):
            end()


@contextlib.asynccontextmanager
async def gated(
    road: str, handler: Callable[[ServerConnection], Any], **options: Any
) -> AsyncIterator[tuple[Session, int, uvicorn.Server]]:
    """The relay with a session around it, in front of `handler`."""
    session = Session()
    async with application(handler) as upstream:
        inner = relay(upstream, **options)

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            scope["gatekeeper.watch"] = session.watch
            scope["gatekeeper.activity"] = session.active
            try:
                await inner(scope, receive, send)
            except BaseException as error:
                session.errors.append(error)
                raise
            finally:
                session.finished.set()

        async with served(gate, road) as (port, server):
            yield session, port, server


async def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@roads
def test_a_revoked_session_closes_both_sides_with_1008(road: str) -> None:
    async def story() -> None:
        echo = EchoApplication()
        async with gated(road, echo.handle, closing_timeout=60) as (session, port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.TEXT, b"hello"))
            assert await client.frame() == (1, True, b"hello")
            session.revoke()
            assert await client.frame() == (8, True, b"\x03\xf0session ended")
            await client.send(masked(Opcode.TEXT, b"too late") + closing(1008))
            assert await asyncio.wait_for(client.frame(), 5) is None
            await client.close()
            await until(lambda: echo.closed)
            assert echo.closed == [(1008, "session ended")]
            assert echo.received == ["hello"]
            await asyncio.wait_for(session.finished.wait(), 3)
            assert session.watchers == []

    asyncio.run(story())


@pytest.mark.parametrize("road", [RAW, PLAIN])
def test_whoever_ignores_the_close_is_cut_off_in_time(road: str) -> None:
    """Neither end plays along: the client goes on sending, the application stops reading."""
    stuck = asyncio.Event()

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await stuck.wait()

    async def story() -> None:
        async with gated(road, deaf, closing_timeout=0.3) as (session, port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.TEXT, b"hello"))
            await until(lambda: session.activity)
            began = time.monotonic()
            session.revoke()
            assert await client.frame() == (8, True, b"\x03\xf0session ended")
            if road == RAW:  # a stock server has a time limit of its own
                with contextlib.suppress(ConnectionError):
                    async with asyncio.timeout(5):
                        while not client.reader.at_eof():
                            await client.send(masked(Opcode.TEXT, b"still here"))
                            await asyncio.sleep(0.01)
            await asyncio.wait_for(session.finished.wait(), 3)
            assert time.monotonic() - began < 2
            await client.close()
            stuck.set()

    asyncio.run(story())


def test_the_close_waits_for_the_end_of_the_frame_under_way() -> None:
    """Both directions are in the middle of a long frame when the session ends."""

    half = unmasked(Opcode.BINARY, b"a" * 1000)
    got: list[str | bytes] = []
    go_on = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        transport = connection.transport
        transport.write(half[:500])
        await go_on.wait()
        transport.write(half[500:])
        with contextlib.suppress(ConnectionClosed):
            got.append(await connection.recv())

    async def story() -> None:
        async with gated(RAW, handler) as (session, port, _):
            client = await RawClient.open(port)
            message = masked(Opcode.BINARY, b"b" * 1000)
            await client.send(message[:500])
            assert await client.reader.readexactly(500) == half[:500]
            await until(lambda: session.activity)
            session.revoke()
            await asyncio.sleep(0.05)
            go_on.set()
            assert await client.reader.readexactly(len(half) - 500) == half[500:]
            assert await client.frame() == (8, True, b"\x03\xf0session ended")
            await client.send(message[500:] + closing(1008))
            assert await client.frame() is None
            await client.close()
            await until(lambda: got)
            assert got == [b"b" * 1000]

    asyncio.run(story())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stopping_server_says_1001_to_both(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        echo = EchoApplication()
        async with gated(RAW, echo.handle) as (session, port, server):
            clients = [await RawClient.open(port) for _ in range(5)]
            stopping = asyncio.get_running_loop().create_task(server.shutdown())
            for client in clients:
                assert await client.frame() == (8, True, b"\x03\xe9")
                await client.send(closing(1001))
                assert await client.frame() is None
                await client.close()
            await until(lambda: len(echo.closed) == 5)
            assert echo.closed == [(1001, "")] * 5
            await stopping
            assert session.errors == []

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


def test_a_stopping_stock_server_ends_the_application_s_side_too() -> None:
    async def story() -> None:
        echo = EchoApplication()
        async with gated(PLAIN, echo.handle) as (session, port, server):
            client = await RawClient.open(port)
            stopping = asyncio.get_running_loop().create_task(server.shutdown())
            assert (await client.transcript())[-1] == ("close", 1012)
            await client.close()
            await until(lambda: echo.closed)
            assert echo.closed == [(1012, "")]
            await stopping
            assert session.errors == []

    asyncio.run(story())


@roads
def test_messages_are_activity_and_pings_are_not(road: str) -> None:
    async def story() -> None:
        async with gated(road, EchoApplication().handle) as (session, port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.PING, b"1") + masked(Opcode.PONG, b"2"))
            assert await client.frame() == (10, True, b"1")
            assert session.activity == 0
            await client.send(masked(Opcode.TEXT, b"a"))
            assert await client.frame() == (1, True, b"a")
            assert session.activity == 1
            await client.send(closing())
            await client.transcript()
            assert session.activity == 1
            await client.close()

    asyncio.run(story())


@roads
def test_a_client_that_vanishes_is_noticed_by_the_application(road: str) -> None:
    async def story() -> None:
        echo = EchoApplication()
        async with gated(road, echo.handle) as (session, port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.TEXT, b"hello"))
            await client.frame()
            client.writer.transport.abort()
            await until(lambda: echo.closed)
            await asyncio.wait_for(session.finished.wait(), 3)
            assert session.watchers == []
            assert session.errors == []

    asyncio.run(story())


@pytest.mark.parametrize(("road", "seen"), [(RAW, []), (PLAIN, [("close", 1011)])])
@pytest.mark.parametrize("sent", [b"", b"\x82\x7e\x10\x00" + bytes(100)], ids=["idle", "mid-frame"])
def test_an_application_that_dies_ends_the_client_s_connection(
    road: str, seen: list[tuple[str, int]], sent: bytes
) -> None:
    async def dies(connection: ServerConnection) -> None:
        connection.transport.write(sent)
        await connection.recv()
        connection.transport.abort()

    async def story() -> None:
        async with gated(road, dies) as (session, port, _):
            client = await RawClient.open(port)
            if road == RAW:
                assert await client.reader.readexactly(len(sent)) == sent
            await client.send(masked(Opcode.TEXT, b"die"))
            assert await client.transcript(len(seen) or None) == seen
            if seen:
                await client.send(closing(1011))
            await client.close()
            await asyncio.wait_for(session.finished.wait(), 5)
            assert session.errors == []

    asyncio.run(story())


@roads
def test_an_application_that_closes_is_heard_word_for_word(road: str) -> None:
    async def closes(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(4002, "lunch — back at two")

    async def story() -> None:
        async with gated(road, closes) as (session, port, _):
            client = await RawClient.open(port)
            assert await client.frame() == (1, True, b"last words")
            assert await client.frame() == (8, True, b"\x0f\xa2" + "lunch — back at two".encode())
            await client.send(closing(4002))
            assert await client.frame() is None
            await client.close()
            await asyncio.wait_for(session.finished.wait(), 3)

    asyncio.run(story())


BROKEN = {
    "masked": (b"\x81\x81\0\0\0\0a", 1002),
    "reserved opcode": (b"\x83\x01a", 1002),
    "fragmented ping": (b"\x09\x01a", 1002),
    "oversize": (b"\x82\x7f" + (MESSAGE_MAX + 1).to_bytes(8, "big"), 1009),
}


@roads
@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_an_application_that_breaks_the_rules_is_stopped(road: str, data: bytes, code: int) -> None:
    closed: list[int | None] = []

    async def breaks(connection: ServerConnection) -> None:
        connection.transport.write(unmasked(Opcode.TEXT, b"fine") + data)
        await connection.wait_closed()
        closed.append(connection.close_code)

    async def story() -> None:
        async with gated(road, breaks) as (session, port, _):
            client = await RawClient.open(port)
            assert await client.frame() == (1, True, b"fine")
            frame = await client.frame()
            assert frame is not None
            assert (frame[0], frame[2][:2]) == (8, code.to_bytes(2, "big"))
            await client.send(closing(code))
            await client.close()
            await until(lambda: closed)
            assert closed == [code]
            await asyncio.wait_for(session.finished.wait(), 3)

    asyncio.run(story())


def test_a_client_s_half_close_reaches_the_application_and_what_is_left_comes_back() -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def story() -> None:
        async with gated(RAW, handler) as (session, port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.TEXT, b"hello"))
            assert await client.frame() == (1, True, b"hello")
            client.writer.write_eof()
            assert await client.frame() is None
            await client.close()
            await asyncio.wait_for(session.finished.wait(), 3)

    asyncio.run(story())
