"""SIGTERM of a node with a hundred WebSockets under load."""

from __future__ import annotations

import asyncio
import time

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.cluster.cluster import Cluster, Node
from tests.cluster.conftest import PEOPLE
from tests.cluster.traffic import traffic

SOCKETS = 100
GOING_AWAY = 1001
FAREWELL = 15.0
"""Seconds: requests under way have `drain_timeout` (10 s here), WebSockets are told after those."""


async def opened(nodes: Cluster, cookie: str, node: Node) -> ClientConnection:
    socket = await connect(
        f"ws://127.0.0.1:{nodes.port}/socket",
        host="127.0.0.1",
        port=node.port,
        origin=Origin(nodes.address),
        additional_headers={"Cookie": cookie},
        compression=None,
        ping_interval=None,
        open_timeout=30,
    )
    await socket.send("hello")
    assert await socket.recv() == "hello"
    return socket


async def farewell(socket: ClientConnection) -> int | None:
    """Talk until the server closes; the code it closed with."""
    try:
        while True:
            await socket.send("still here")
            assert await socket.recv() == "still here"
            await asyncio.sleep(0.2)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


@pytest.mark.slow
def test_a_node_that_stops_tells_every_websocket_and_costs_no_page(nodes: Cluster) -> None:
    leaving, staying = nodes.nodes[0], nodes.nodes[1]
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    mine = nodes.sign_in("pat")

    async def story() -> None:
        sockets = [await opened(nodes, mine, leaving) for _ in range(SOCKETS)]
        async with asyncio.TaskGroup() as tasks:
            talks = [tasks.create_task(farewell(socket)) for socket in sockets]
            await asyncio.sleep(1.0)
            assert not any(talk.done() for talk in talks)
            began = time.monotonic()
            await asyncio.to_thread(leaving.stop)
            assert [await talk for talk in talks] == [GOING_AWAY] * SOCKETS
            assert time.monotonic() - began < FAREWELL
        # Whoever connects again is answered by another node, with the same session.
        again = [await opened(nodes, mine, staying) for _ in range(SOCKETS)]
        for socket in again:
            await socket.close()

    try:
        with traffic(nodes, cookies) as seen:
            asyncio.run(story())
    finally:
        leaving.start()
    assert len(seen.seen) > 100
    assert seen.failures() == [] and seen.strangers() == []
