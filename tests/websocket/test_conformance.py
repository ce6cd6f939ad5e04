"""Through the relay a WebSocket behaves as directly: one table of cases, run both ways, compared.

The comparison is what the client gets until the end of the stream (Close frames by their code), and, where
the client broke no rule, what the application got.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import uvloop
from websockets.frames import Opcode

from tests.websocket.cases import CASES, Case
from tests.websocket.play import ERRORS, Result, play
from tests.websocket.support import PLAIN, RAW, EchoApplication, application, relay, served

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Bench(NamedTuple):
    runner: asyncio.Runner
    echo: EchoApplication
    port: int


@pytest.fixture(
    scope="module", params=[(RAW, "asyncio"), (RAW, "uvloop"), (PLAIN, "asyncio")], ids=lambda p: "-".join(p)
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    road, loop = request.param
    echo = EchoApplication()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        stack = contextlib.AsyncExitStack()

        async def start() -> int:
            echo.port = await stack.enter_async_context(application(echo.handle))
            port, _ = await stack.enter_async_context(served(relay(echo.port), road))
            return port

        port = runner.run(start())
        try:
            yield Bench(runner, echo, port)
        finally:
            runner.run(stack.aclose())


_direct: dict[str, Result] = {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_through_the_relay_as_directly(bench: Bench, case: Case) -> None:
    if case.name not in _direct:
        _direct[case.name] = bench.runner.run(play(case, bench.echo, bench.echo.port))
    direct = _direct[case.name]
    relayed = bench.runner.run(play(case, bench.echo, bench.port))
    assert relayed.client == direct.client
    if direct.client[-1] not in ERRORS:
        assert relayed.received == direct.received
        assert relayed.closed == direct.closed


def test_the_table_is_not_trivially_equal(bench: Bench) -> None:
    """Guards the comparison itself: messages, pongs and each kind of ending occur in what it compares."""
    seen = {
        frame[:1] if frame[0] != "close" else frame for result in _direct.values() for frame in result.client
    }
    assert {(Opcode.TEXT,), (Opcode.BINARY,), (Opcode.PONG,), ("close", 1000), *ERRORS} <= seen
