"""What the application answers is framed by us, and half an answer never looks like a whole one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.response import InvalidResponse, build_head
from tests.server.memory import Bench, MemoryTransport, settle, status_of

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
OLD = b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"


def answers(*bodies: bytes, status: int = 200, headers: Any = (), then: Exception | None = None) -> ASGIApp:
    """An application that sends these pieces, then raises; without pieces it never completes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for body in bodies[:-1]:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if then is not None:
            raise then
        if bodies:
            await send({"type": "http.response.body", "body": bodies[-1]})

    return app


def exchange(app: ASGIApp, *requests: bytes) -> MemoryTransport:
    async def story() -> MemoryTransport:
        bench = Bench(app)
        bench.state.default_headers = [(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
        protocol, transport = bench.connect()
        for request in requests:
            protocol.data_received(request)
            await settle()
        return transport

    return asyncio.run(story())


def test_a_length_is_kept_and_the_connection_stays() -> None:
    transport = exchange(answers(b"he", b"llo", headers=[(b"content-length", b"5")]), GET, GET)
    one = b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 5\r\n\r\nhello"
    assert bytes(transport.written) == one * 2
    assert not transport.closing


def test_without_a_length_an_answer_is_chunked() -> None:
    transport = exchange(answers(b"he", b"", b"llo"), GET)
    assert b"\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" in transport.written


def test_http_1_0_gets_its_answer_until_the_end_of_the_connection() -> None:
    transport = exchange(answers(b"he", b"llo"), OLD)
    assert transport.written.endswith(b"\r\nconnection: close\r\n\r\nhello")
    assert b"chunked" not in transport.written and transport.closing and not transport.aborted


@pytest.mark.parametrize(
    ("request_", "status"), [(HEAD, 200), (GET, 204), (GET, 304)], ids=["HEAD", "204", "304"]
)
def test_no_body_where_none_may_be(request_: bytes, status: int) -> None:
    transport = exchange(answers(b"hello", status=status), request_, request_)
    assert b"hello" not in transport.written and b"transfer-encoding" not in transport.written
    assert transport.written.count(b"HTTP/1.1 ") == 2
    assert transport.written.endswith(b"\r\n\r\n")


def test_the_length_of_a_head_answer_is_kept_and_that_of_204_dropped() -> None:
    headers = [(b"content-length", b"5")]
    assert b"content-length: 5\r\n" in exchange(answers(b"", headers=headers), HEAD).written
    assert b"content-length" not in exchange(answers(b"", status=204, headers=headers), GET).written


def test_the_applications_date_is_kept_and_its_framing_dropped() -> None:
    headers = [
        (b"Date", b"then"),
        (b"Transfer-Encoding", b"gzip"),
        (b"Connection", b"keep-alive, X"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Upgrade", b"h2c"),
        (b"content-length", b"0"),
    ]
    transport = exchange(answers(b"", headers=headers), GET)
    assert bytes(transport.written) == b"HTTP/1.1 200 OK\r\nDate: then\r\ncontent-length: 0\r\n\r\n"


def test_an_application_may_close_the_connection() -> None:
    transport = exchange(answers(b"", headers=[(b"connection", b"Close")]), GET)
    assert b"connection: close\r\n" in transport.written and transport.closing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"\x00"),
        (b"x", b"\x7f"),
        (b"x\r\ny", b"1"),
        (b"x y", b"1"),
        (b"x:", b"1"),
        (b"", b"1"),
        (b"content-length", b"-1"),
        (b"content-length", b"1, 1"),
        (b"content-length", b""),
    ],
)
def test_a_header_that_could_split_the_answer_is_refused(
    name: bytes, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    transport = exchange(answers(b"", headers=[(name, value)]), GET)
    assert status_of(transport) == 500
    assert transport.written.count(b"HTTP/1.1 ") == 1 and b"set-cookie" not in transport.written
    assert "exception in ASGI application" in caplog.text


@pytest.mark.parametrize("status", [99, 100, 101, 199, 600, "200"])
def test_only_final_statuses_are_answers(status: Any) -> None:
    with pytest.raises(InvalidResponse):
        build_head(status, (), method="GET", minor=1, close=False, defaults=())


def test_two_lengths_are_refused() -> None:
    fields = [(b"content-length", b"1"), (b"Content-Length", b"1")]
    with pytest.raises(InvalidResponse):
        build_head(200, fields, method="GET", minor=1, close=False, defaults=())


@pytest.mark.parametrize(
    "app",
    [
        answers(b"he", b"", then=ValueError("broken")),
        answers(b"he", b"", headers=[(b"content-length", b"5")]),
        answers(b"hello!", headers=[(b"content-length", b"5")]),
        answers(),
    ],
    ids=["an exception", "too short", "too long", "never completed"],
)
@pytest.mark.parametrize("request_", [GET, OLD], ids=["1.1", "1.0"])
def test_half_an_answer_is_cut_off(app: ASGIApp, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    transport = exchange(app, request_)
    assert transport.aborted
    assert not transport.written.endswith(b"0\r\n\r\n")
    assert caplog.records


def test_an_exception_before_the_answer_is_500_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("secret")

    transport = exchange(app, GET)
    assert status_of(transport) == 500 and b"secret" not in transport.written and transport.eof


def test_an_application_that_answers_nothing_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    assert status_of(exchange(app, GET)) == 500
    assert caplog.records[0].levelno == logging.ERROR


def test_100_is_sent_when_the_application_first_asks_for_the_body() -> None:
    async def story() -> None:
        go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go.wait()
            message = await receive()
            await answers(message["body"], headers=[(b"content-length", b"5")])(scope, receive, send)

        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        await bench.pass_time(60)
        assert not transport.written
        go.set()
        await settle()
        assert bytes(transport.written) == b"HTTP/1.1 100 Continue\r\n\r\n"
        protocol.data_received(b"hello")
        await settle()
        assert transport.written.endswith(b"\r\n\r\nhello") and not transport.closing

    asyncio.run(story())


def test_an_answer_instead_of_100_ends_the_connection() -> None:
    transport = exchange(
        answers(b"", headers=[(b"content-length", b"0")]),
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        GET,
    )
    assert transport.written.count(b"HTTP/1.1 ") == 1 and b"connection: close" in transport.written
    assert transport.eof


def test_a_chunked_body_beyond_the_cap_is_413_while_it_streams() -> None:
    async def story() -> None:
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while True:
                message = await receive()
                seen.append(message["type"])
                if message["type"] == "http.disconnect" or not message["more_body"]:
                    return

        bench = Bench(app, ServerLimits(body=10))
        protocol, transport = bench.connect()
        protocol.data_received(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            protocol.data_received(b"5\r\nhello\r\n")
            await settle()
        assert status_of(transport) == 413
        assert seen[-1] == "http.disconnect"

    asyncio.run(story())


def test_sending_to_a_client_that_left_raises_os_error() -> None:
    async def story() -> None:
        failed: list[type[BaseException]] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            message = await receive()
            while message["type"] != "http.disconnect":
                message = await receive()
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            except OSError as error:
                failed.append(type(error))

        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(GET)
        await settle()
        protocol.eof_received()
        await settle()
        assert failed and transport.lost and not transport.written

    asyncio.run(story())


def test_a_client_that_reads_slowly_makes_the_application_wait() -> None:
    async def story() -> None:
        sent: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(10):
                await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
                sent.append(number)
            await send({"type": "http.response.body", "body": b""})

        bench = Bench(app)
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(GET)
        await settle()
        assert sent == [0]
        transport.take(70_000)
        await settle()
        assert sent == [0, 1]
        transport.abort()
        await settle()
        assert not bench.state.tasks

    asyncio.run(story())


def test_graceful_stop_finishes_what_runs_and_closes_what_waits() -> None:
    async def story() -> None:
        go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go.wait()
            await answers(b"hello", headers=[(b"content-length", b"5")])(scope, receive, send)

        bench = Bench(app)
        _, idle_transport = bench.connect()
        half, half_transport = bench.connect()
        half.data_received(b"GET /a HT")
        busy, busy_transport = bench.connect()
        busy.data_received(GET + GET)
        await settle()
        for connection in list(bench.state.connections):
            connection.shutdown()
        await settle()
        assert not idle_transport.closing and not half_transport.closing and not busy_transport.closing
        await bench.pass_time(2)
        assert idle_transport.lost and b" 408 " in half_transport.written and not busy_transport.closing
        go.set()
        await bench.pass_time(3)
        assert busy_transport.written.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in busy_transport.written and busy_transport.lost
        assert not bench.state.connections

    asyncio.run(story())


CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_100_is_not_sent_when_no_body_can_follow() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answers(b"", headers=[(b"content-length", b"0")])(scope, receive, send)

    for line in (b"GET /a HTTP/1.1", b"GET /a HTTP/1.0"):
        transport = exchange(app, line + b"\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
        assert b" 100 " not in transport.written and status_of(transport) == 200


def test_a_body_that_breaks_after_its_answer_gets_no_second_answer() -> None:
    transport = exchange(answers(b"", headers=[(b"content-length", b"0")]), CHUNKED, b"nonsense\r\n")
    assert transport.written.count(b"HTTP/1.1 ") == 1 and transport.eof


def test_a_body_that_breaks_during_its_answer_cuts_it_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    transport = exchange(app, CHUNKED, b"nonsense\r\n")
    assert transport.aborted and transport.written.count(b"HTTP/1.1 ") == 1


def test_a_stop_while_an_unread_body_is_dropped_leaves_one_more_request() -> None:
    async def story() -> None:
        bench = Bench(answers(b"", headers=[(b"content-length", b"0")]))
        protocol, transport = bench.connect()
        protocol.data_received(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        await settle()
        protocol.shutdown()
        protocol.data_received(b"hello" + GET)
        await settle()
        assert transport.lost and transport.written.count(b"HTTP/1.1 ") == 2
        assert transport.written.count(b"connection: close") == 1

    asyncio.run(story())


def test_a_request_on_its_way_when_the_server_stops_is_answered() -> None:
    async def story() -> None:
        bench = Bench(answers(b"hi", headers=[(b"content-length", b"2")]))
        protocol, transport = bench.connect()
        protocol.data_received(GET)
        await settle()
        protocol.shutdown()
        protocol.data_received(GET)
        await settle()
        assert transport.written.count(b"HTTP/1.1 200") == 2
        assert transport.written.count(b"connection: close") == 1 and transport.lost

    asyncio.run(story())


def test_a_connection_from_the_last_moment_is_answered_once() -> None:
    async def story() -> None:
        bench = Bench(answers(b"hi", headers=[(b"content-length", b"2")]))
        bench.registry.stopping = True
        protocol, transport = bench.connect()
        protocol.data_received(GET + GET)
        await settle()
        assert transport.written.count(b"HTTP/1.1 200") == 1 and b"connection: close" in transport.written

    asyncio.run(story())


def test_a_closing_connection_is_still_watched_when_the_client_took_some() -> None:
    async def story() -> None:
        headers = [(b"content-length", b"70000"), (b"connection", b"close")]
        bench = Bench(answers(b"x" * 70_000, headers=headers))
        protocol, transport = bench.connect()
        transport.holds = True
        protocol.data_received(GET)
        await settle()
        assert transport.closing and not transport.lost
        transport.take(60_000)
        await bench.pass_time(62)
        assert transport.aborted

    asyncio.run(story())


class Writes(MemoryTransport):
    """Also keeps what was written together: each is a system call and perhaps a packet."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))
        super().write(data)


def pieces_of(app: ASGIApp, request: bytes = GET) -> list[bytes]:
    async def story() -> list[bytes]:
        protocol, _ = Bench(app).connect()
        transport = Writes()
        transport.protocol, protocol.transport = protocol, transport
        protocol.data_received(request)
        await settle()
        return transport.pieces

    return asyncio.run(story())


@pytest.mark.parametrize("headers", [[(b"content-length", b"5")], []], ids=["length", "chunked"])
def test_a_head_and_its_body_leave_in_one_write(headers: Any) -> None:
    pieces = pieces_of(answers(b"hello", headers=headers))
    assert len(pieces) == 1 and b"hello" in pieces[0]


def test_a_long_body_is_not_copied_behind_its_head() -> None:
    body = b"x" * 100_000
    pieces = pieces_of(answers(body, headers=[(b"content-length", b"100000")]))
    assert b"".join(pieces).endswith(b"\r\n\r\n" + body)


def test_a_head_does_not_wait_for_a_body_that_takes_its_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        await receive()

    assert pieces_of(app)[0].endswith(b"transfer-encoding: chunked\r\n\r\n")


def test_an_empty_body_until_the_end_of_the_connection_has_a_head() -> None:
    transport = exchange(answers(b""), OLD)
    assert status_of(transport) == 200 and transport.closing and not transport.aborted
