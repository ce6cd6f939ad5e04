"""Nobody can hold a connection by being slow; the clock and the sweep are moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.gate.server.config import ServerLimits
from tests.server.memory import Bench, settle, status_of
from tests.server.wire import Recorder

HEAD = b"GET /a HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def large_answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def test_a_connection_without_a_byte_is_closed_silently() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        _, transport = bench.connect()
        await bench.pass_time(9)
        assert not transport.closing
        await bench.pass_time(2)
        assert transport.lost and not transport.written and not bench.refusals

    run(story())


def test_a_slow_head_is_answered_408_however_steadily_it_drips() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        for byte in HEAD[:11]:
            protocol.data_received(bytes([byte]))
            await bench.pass_time(1)
        assert status_of(transport) == 408
        assert bench.refusals == [("head_timeout", 408, "192.0.2.1")]
        await bench.pass_time(3)
        assert transport.lost

    run(story())


def test_a_body_that_stops_is_answered_408() -> None:
    async def story() -> None:
        app = Recorder()
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(POST + b"x" * 5000)
        await bench.pass_time(19)
        assert not transport.written
        await bench.pass_time(22)
        assert status_of(transport) == 408
        assert not app.whole

    run(story())


def test_a_body_below_the_minimum_rate_is_answered_408() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        protocol.data_received(POST)
        for _ in range(21):
            protocol.data_received(b"x" * 10)
            await bench.pass_time(1)
        assert status_of(transport) == 408

    run(story())


def test_a_slow_but_steady_body_is_taken() -> None:
    async def story() -> None:
        app = Recorder()
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(POST)
        for _ in range(100):
            protocol.data_received(b"x" * 1000)
            await bench.pass_time(1)
        assert status_of(transport) == 200
        assert len(app.whole[0].body) == 100_000

    run(story())


def test_a_body_that_the_application_does_not_take_is_not_the_clients_fault() -> None:
    async def story() -> None:
        bench = Bench(never_answers)
        protocol, transport = bench.connect()
        protocol.data_received(POST + b"x" * 70_000)
        await settle()
        assert transport.paused
        await bench.pass_time(120)
        assert not transport.written and not transport.closing

    run(story())


def test_an_application_may_take_its_time() -> None:
    async def story() -> None:
        bench = Bench(never_answers)
        protocol, transport = bench.connect()
        protocol.data_received(HEAD + b"\r\n")
        await bench.pass_time(600)
        assert not transport.written and not transport.closing

    run(story())


def test_an_idle_connection_is_closed_after_its_time() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        protocol.data_received(HEAD + b"\r\n")
        await settle()
        assert status_of(transport) == 200
        await bench.pass_time(74)
        assert not transport.closing
        protocol.data_received(HEAD + b"\r\n")
        await settle()
        await bench.pass_time(74)
        assert not transport.closing
        await bench.pass_time(2)
        assert transport.lost and not bench.refusals

    run(story())


def test_an_answer_that_is_not_taken_is_cut_off() -> None:
    async def story() -> None:
        bench = Bench(large_answer)
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(HEAD + b"\r\n")
        await bench.pass_time(29)
        assert not transport.closing
        assert len(transport.written) < 200_000
        await bench.pass_time(2)
        assert transport.aborted
        assert bench.refusals == [("response_not_taken", 0, "192.0.2.1")]

    run(story())


def test_an_answer_taken_byte_by_byte_is_cut_off() -> None:
    async def story() -> None:
        bench = Bench(large_answer)
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(HEAD + b"\r\n")
        for _ in range(32):
            transport.take(10)
            await bench.pass_time(1)
        assert transport.aborted

    run(story())


def test_an_answer_taken_slowly_but_steadily_is_delivered() -> None:
    async def story() -> None:
        bench = Bench(large_answer)
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(HEAD + b"\r\n")
        for _ in range(400):
            transport.take(20_000)
            await bench.pass_time(1)
        assert not transport.aborted
        assert transport.written.endswith(b"\r\n0\r\n\r\n")

    run(story())


def test_a_client_that_leaves_a_small_answer_unread_is_cut_off() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(HEAD + b"\r\n")
        await bench.pass_time(77)
        assert transport.aborted

    run(story())


def test_a_closing_connection_is_cut_off_when_its_answer_is_not_taken() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(HEAD + b"Connection: close\r\n\r\n")
        await settle()
        assert transport.closing and not transport.lost
        await bench.pass_time(31)
        assert transport.aborted

    run(story())


def test_a_refused_client_is_let_go_after_a_moment_even_if_it_stays() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        protocol, transport = bench.connect()
        protocol.data_received(b"nonsense\r\n\r\n")
        assert transport.eof and not transport.closing
        protocol.data_received(b"x" * 1_000_000)
        await bench.pass_time(3)
        assert transport.lost
        assert [status for _, status, _ in bench.refusals] == [400]

    run(story())


def test_the_body_of_an_early_answer_is_dropped_within_bounds() -> None:
    async def answers_at_once(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def story() -> None:
        bench = Bench(answers_at_once, ServerLimits(drain=50_000))
        protocol, transport = bench.connect()
        protocol.data_received(POST)
        await settle()
        assert status_of(transport) == 200
        protocol.data_received(b"x" * 40_000)
        assert not transport.eof
        protocol.data_received(b"x" * 20_000)
        assert transport.eof

        protocol, transport = bench.connect()
        protocol.data_received(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        await settle()
        protocol.data_received(b"hello" + HEAD + b"\r\n")
        await settle()
        assert transport.written.count(b"HTTP/1.1 200 ") == 2
        assert not transport.closing

    run(story())
