"""Back-pressure: who does not read is not read for, and nothing is lost by waiting."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import tracemalloc
from collections.abc import Callable

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from tests.websocket.support import PLAIN, RAW, RawClient, application, closing, masked, relay, served

CHUNK = 65_536
COUNT = 500
"""32 MB in all: far beyond what kernel buffers of four sockets hold."""
MEMORY = 8 * 1024 * 1024
loops = pytest.mark.parametrize(
    ("road", "loop"),
    [(RAW, asyncio.new_event_loop), (RAW, uvloop.new_event_loop), (PLAIN, asyncio.new_event_loop)],
    ids=["raw-asyncio", "raw-uvloop", "plain-asyncio"],
)


def small_buffers(connection: ServerConnection) -> None:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, CHUNK)


def payload(number: int) -> bytes:
    return number.to_bytes(4, "big") * (CHUNK // 4)


async def standstill(counter: Callable[[], int]) -> int:
    """Wait until the counter moves no more."""
    before = -1
    while (now := counter()) != before:
        before = now
        await asyncio.sleep(0.15)
    return now


@loops
def test_a_client_that_does_not_read_stops_the_application(
    road: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    sent = 0

    async def floods(connection: ServerConnection) -> None:
        nonlocal sent
        small_buffers(connection)
        with contextlib.suppress(ConnectionClosed):
            for number in range(COUNT):
                await connection.send(payload(number))
                sent += 1
            await connection.close()

    async def story() -> None:
        async with application(floods) as upstream, served(relay(upstream), road) as (port, _):
            tracemalloc.start()
            client = await RawClient.open(port)
            stalled = await standstill(lambda: sent)
            memory = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert stalled < COUNT // 2
            assert memory < MEMORY
            digest = hashlib.sha256()
            for _ in range(COUNT):
                frame = await client.frame()
                assert frame is not None
                digest.update(frame[2])
            expected = hashlib.sha256(b"".join(payload(number) for number in range(COUNT)))
            assert digest.digest() == expected.digest()
            await client.send(closing())
            assert await client.transcript() == [("close", 1000)]
            await client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


@loops
def test_an_application_that_does_not_read_stops_the_client(
    road: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def story() -> None:
        read = asyncio.Event()
        done = asyncio.Event()
        digest = hashlib.sha256()

        async def waits(connection: ServerConnection) -> None:
            small_buffers(connection)
            await read.wait()
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    assert isinstance(message, bytes)
                    digest.update(message)
            done.set()

        sent = 0

        async def flood(client: RawClient) -> None:
            nonlocal sent
            for number in range(COUNT):
                await client.send(masked(Opcode.BINARY, payload(number)))
                sent += 1

        async with application(waits) as upstream, served(relay(upstream), road) as (port, _):
            tracemalloc.start()
            client = await RawClient.open(port)
            flooding = asyncio.get_running_loop().create_task(flood(client))
            stalled = await standstill(lambda: sent)
            memory = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert stalled < COUNT // 2
            assert memory < MEMORY
            read.set()
            await flooding
            await client.send(closing())
            assert await client.transcript() == [("close", 1000)]
            await client.close()
            await asyncio.wait_for(done.wait(), 5)
            expected = hashlib.sha256(b"".join(payload(number) for number in range(COUNT)))
            assert digest.digest() == expected.digest()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
