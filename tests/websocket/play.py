"""Plays one case against a server: what the client got, what the application got."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.websocket.cases import Case
from tests.websocket.support import EchoApplication, RawClient

ERRORS = (("close", 1002), ("close", 1007), ("close", 1009))
"""What a client that broke the protocol is told."""


class Result(NamedTuple):
    client: list[tuple[Any, ...]]
    received: list[str | bytes]
    closed: list[tuple[int | None, str | None]]


async def play(case: Case, echo: EchoApplication, port: int, *, headers: Sequence[str] = ()) -> Result:
    """Send the case and take everything that comes back, at the same time."""
    echo.forget()
    client = await RawClient.open(port, headers=headers)
    loop = asyncio.get_running_loop()
    reading = loop.create_task(client.transcript(case.replies if case.last else None))
    with contextlib.suppress(ConnectionError):
        if case.chop:
            for start in range(0, len(case.sent), case.chop):
                await client.send(case.sent[start : start + case.chop])
                await asyncio.sleep(0)
        else:
            await client.send(case.sent)
    frames = await asyncio.wait_for(reading, 10)
    if case.last:
        await client.send(case.last)
        frames += await asyncio.wait_for(client.transcript(), 10)
    await client.close()
    async with asyncio.timeout(5):
        while not echo.closed:
            await asyncio.sleep(0.001)
    return Result(frames, list(echo.received), list(echo.closed))
