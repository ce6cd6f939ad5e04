"""One connection to the application: bytes in and out as callbacks, one exchange at a time."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.answer import AnswerReader
from gatekeeper.upstream.framing import UNTIL_EOF, translated
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.ports import ConnectionOwner, ExchangeSink
from gatekeeper.upstream.rewrite import Rewriter

NEVER = float("inf")


class UpstreamConnection(AnswerReader, asyncio.Protocol):
    """Sends requests one after the other and reads the answers strictly.

    A connection whose state is in any doubt is closed, never lent again: bytes beyond an answer, an answer
    before the request was sent whole, bytes while nobody asked.
    """

    __slots__ = (
        "_now",
        "_owner",
        "_paused",
        "_poll",
        "_request_done",
        "_retired",
        "_transport",
        "_write_paused",
        "answered",
        "client",
        "deadline",
        "expires_at",
        "idle_since",
        "reused",
    )

    def __init__(
        self, owner: ConnectionOwner, limits: UpstreamLimits, rewriter: Rewriter, now: Callable[[], float]
    ) -> None:
        AnswerReader.__init__(self, limits, rewriter)
        self._owner = owner
        self._now = now
        self._transport: asyncio.Transport
        self._poll: select.poll | None = None
        self._request_done = self._retired = self._paused = self._write_paused = False
        self.answered = False
        """Whether a byte of the current answer has come."""
        self.reused = False
        """Whether an earlier exchange went over this connection."""
        self.client: str | None = None
        """Whose exchange has it, for the pool; None while idle."""
        self.idle_since = 0.0
        self.expires_at = NEVER
        self.deadline = NEVER

    # What the exchange does.

    def begin(self, sink: ExchangeSink, method: str, data: bytes, *, done: bool) -> None:
        """Send a request's first bytes; `done` when they are the whole request."""
        self._sink = sink
        self._expect_answer(method)
        self.answered = False
        self._request_done = done
        if self._retired:
            self._fail(UpstreamFailure(502, "upstream_closed", "the connection is closed"))
            return
        self._transport.write(data)
        self._set_deadline()

    def send(self, parts: list[bytes]) -> None:
        """Send a piece of the request's body."""
        if self._sink is not None:
            self._transport.writelines(parts)

    def end_request(self) -> None:
        """The request was sent whole: the time for the answer begins."""
        self._request_done = True
        self._set_deadline()

    def pause_reading(self) -> None:
        """The client is slow: it, not the application, is waited for."""
        if not self._paused and not self._retired:
            self._paused = True
            self._set_deadline()
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self._retired:
            self._paused = False
            self._set_deadline()
            self._transport.resume_reading()

    def abort(self) -> None:
        """Break the exchange off; the sink hears nothing of it."""
        self._sink = None
        self._retire()
        self._transport.abort()

    # What the pool does.

    def usable(self) -> bool:
        """Whether an idle connection is alive and silent, also counting what the loop has not read yet."""
        if self.retired or self._transport.is_closing():
            return False
        if self._poll is None:
            poll = select.poll()
            poll.register(
                self._transport.get_extra_info("socket").fileno(),
                select.POLLIN | select.POLLRDHUP | select.POLLERR | select.POLLHUP,
            )
            self._poll = poll
        return not self._poll.poll(0)

    @property
    def retired(self) -> bool:
        """Whether it will never be lent again."""
        return self._retired

    def close(self) -> None:
        """Close an idle connection."""
        self._retire()
        self._transport.close()

    def check_deadline(self, now: float) -> None:
        if now >= self.deadline and self._sink is not None:
            reason = "upstream_idle_timeout" if self._final else "upstream_timeout"
            self._fail(UpstreamFailure(504, reason, "the application did not go on in time"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio.Transport, only alike.
        self._transport = cast(asyncio.Transport, transport)
        self.idle_since = self._now()
        self.expires_at = self.idle_since + self._keep_for

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            self._retire()
            self._transport.abort()
            return
        self.answered = True
        try:
            self._read(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UpstreamFailure) as error:
            if not self._complete:
                self._fail(translated(error))
                return
            # What follows a whole answer is nobody's; it costs the connection, not the answer.
            self._doubtful = True
        if self._complete:
            self._finish(data)

    def eof_received(self) -> None:
        if self._sink is not None and self._final and self._length == UNTIL_EOF:
            self._complete = True
            self._finish(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self._parser = None
        if self._sink is not None:
            self._fail(
                UpstreamFailure(502, "upstream_closed", f"the application closed the connection: {exc}")
            )
        self._retire()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._sink is not None:
            self._set_deadline()
            self._sink.pause_request()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._sink is not None:
            self._set_deadline()
            self._sink.resume_request()

    # Inside

    def _set_deadline(self) -> None:
        """Time runs only while the application is what everybody waits for."""
        if self._paused or not (self._request_done or self._write_paused):
            self.deadline = NEVER
        elif self._request_done and not self._final:
            self.deadline = self._now() + self._limits.response_timeout
        else:
            self.deadline = self._now() + self._limits.idle_timeout

    def _finish(self, data: bytes) -> None:
        sink, self._sink = self._sink, None
        reusable = self._keep_alive and self._request_done and not self._doubtful
        if self._method == "HEAD":
            # The parser knows nothing of HEAD: it may be waiting for a body, so it is given up, and the
            # connection with it unless the answer is plainly one head and nothing else.
            reusable = (
                reusable
                and self._limits.head_size - self._head_room == len(data)
                and data.count(b"\r\n\r\n") == 1
                and data.endswith(b"\r\n\r\n")
            )
            self._parser = httptools.HttpResponseParser(self)
        self.deadline = NEVER
        if reusable and not self._retired and not self._transport.is_closing():
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self.reused = True
            now = self.idle_since = self._now()
            self.expires_at = now + self._keep_for
            self._owner.released(self)
        else:
            self._retire()
            if self._request_done:
                self._transport.close()
            else:
                self._transport.abort()
        if sink is not None:
            sink.on_complete()

    def _fail(self, failure: UpstreamFailure) -> None:
        sink, self._sink = self._sink, None
        self._retire()
        self._transport.abort()
        if sink is not None:
            sink.on_failure(failure)

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self.deadline = NEVER
            self._owner.retired(self)
