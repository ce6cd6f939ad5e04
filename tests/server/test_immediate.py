"""Questions that need no waiting are answered without the application, and only the plainest of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from gatekeeper.core.protocols import Receive, Scope, Send
from tests.server.memory import Bench, MemoryTransport, settle, status_of

LINES = b"content-length: 0\r\nremote-user: ada\r\n"
ASK = b"GET /auth/nginx HTTP/1.1\r\nHost: x\r\n"
END = b"\r\n"


class Story:
    """A server that answers /auth/… at once, and all else by an application that says 404."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, bytes]] = []
        self.answer: bytes | None = LINES
        self.trouble: Exception | None = None
        self.calls = 0
        self.bench = Bench(self, immediate=(b"/auth/", self.ask))

    def ask(
        self, peer: str, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        if self.trouble is not None:
            raise self.trouble
        self.asked.append((peer, method, raw_path, query))
        return self.answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


def tell(story: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(Story())

    asyncio.run(run())


async def send(story: Story, data: bytes) -> MemoryTransport:
    protocol, transport = story.bench.connect()
    protocol.data_received(data)
    await settle()
    return transport


def test_the_answer_is_whole_and_the_connection_lives_on() -> None:
    async def story(s: Story) -> None:
        protocol, transport = s.bench.connect()
        for _ in range(3):
            protocol.data_received(ASK + b"Connection: keep-alive\r\n" + END)
        await settle()
        answers = bytes(transport.written).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert len(answers) == 3 and s.calls == 0
        assert all(b"content-length: 0\r\nremote-user: ada\r\n" in answer for answer in answers)
        assert all(answer.endswith(b"\r\n\r\n") for answer in answers)
        assert s.asked[0] == ("192.0.2.1", "GET", b"/auth/nginx", b"")
        assert s.bench.state.total_requests == 3
        protocol.data_received(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
        await settle()
        assert s.calls == 1
        await s.bench.pass_time(200)
        assert transport.closing, "idle connections end after such an answer too"

    tell(story)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /auth/nginx HTTP/1.0\r\nHost: x\r\n\r\n",
        ASK + b"Connection: close\r\n" + END,
        ASK + b"Connection: Remote-User\r\n" + END,
        ASK + b"Content-Length: 1\r\n" + END + b"a",
        ASK + b"Transfer-Encoding: chunked\r\n" + END + b"0\r\n\r\n",
        ASK + END + ASK + END,
    ],
    ids=["another path", "HTTP/1.0", "close", "an option", "a body", "chunks", "the next request already"],
)
def test_whatever_is_not_plain_goes_to_the_application(data: bytes) -> None:
    async def story(s: Story) -> None:
        transport = await send(s, data)
        assert s.calls == 1 and status_of(transport) == 404

    tell(story)


def test_what_it_does_not_answer_or_fails_at_goes_to_the_application() -> None:
    async def story(s: Story) -> None:
        s.answer = None
        assert status_of(await send(s, ASK + END)) == 404
        s.answer, s.trouble = LINES, RuntimeError("unexpected")
        assert status_of(await send(s, ASK + END)) == 404

    tell(story)


def test_a_refused_request_is_not_asked_about() -> None:
    async def story(s: Story) -> None:
        assert status_of(await send(s, b"GET /auth/nginx HTTP/1.1\r\n" + END)) == 400
        assert s.asked == [] and s.calls == 0

    tell(story)


def test_who_does_not_read_gets_nothing_ahead() -> None:
    """Answers would pile up in memory: the application's road waits for the client."""

    async def story(s: Story) -> None:
        protocol, transport = s.bench.connect()
        transport.holds = True
        protocol.pause_writing()
        protocol.data_received(ASK + END)
        await settle()
        assert transport.written == b"" and s.asked == []

    tell(story)


@pytest.mark.parametrize(
    "bad", [b"\r\n", b"a: b", b"a: b\r\n\r\nHTTP/1.1 200 OK\r\n", b"a: \x00\r\n", b"a: b\n"]
)
def test_no_line_can_end_the_answers_head(bad: bytes) -> None:
    async def story(s: Story) -> None:
        s.answer = LINES + bad
        transport = await send(s, ASK + END)
        assert transport.written.count(b"HTTP/1.1") == 1 and status_of(transport) == 404

    tell(story)
