"""The answer's side of a connection: bytes in, what they mean out to the exchange.

Plain answers are counted off without a parser (`plain`); all others are llhttp's, through its callbacks.
"""

from __future__ import annotations

from typing import Any

import httptools

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.framing import NO_BODY, ResponseHead, invalid, read_head
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.plain import read_plain
from gatekeeper.upstream.ports import ExchangeSink
from gatekeeper.upstream.rewrite import Rewriter

_FRAMING = (b"content-length", b"transfer-encoding")


class AnswerReader:
    """Reads one answer after the other. `UpstreamConnection` is one that also sends and keeps time."""

    __slots__ = (
        "_body_left",
        "_body_seen",
        "_complete",
        "_doubtful",
        "_final",
        "_head_room",
        "_headers",
        "_keep_alive",
        "_keep_for",
        "_length",
        "_limits",
        "_method",
        "_parser",
        "_rewriter",
        "_silent",
        "_sink",
    )

    def __init__(self, limits: UpstreamLimits, rewriter: Rewriter) -> None:
        self._limits = limits
        self._rewriter = rewriter
        self._parser: Any = httptools.HttpResponseParser(self)
        self._sink: ExchangeSink | None = None
        self._keep_for = limits.keep_alive
        self._doubtful = self._body_seen = self._keep_alive = False
        self._length = NO_BODY
        self._expect_answer("")

    def _expect_answer(self, method: str) -> None:
        """Get ready for the answer to a request with this method."""
        self._method = method
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_room = self._limits.head_size
        self._body_left = NO_BODY
        """Of a plain answer's body, which needs no parser."""
        self._silent = 0
        self._final = self._complete = False

    def _read(self, data: bytes) -> None:
        """Raises `UpstreamFailure` or what the parser raises."""
        if self._body_left:
            self._plain_body(data)
        elif self._final:
            self._feed_body(data)
        elif self._head_room != self._limits.head_size or not self._plain_head(data):
            self._feed_head(data)

    def _set_deadline(self) -> None:
        raise NotImplementedError

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            self._doubtful = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._final:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        parser, sink = self._parser, self._sink
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101 or any(name in _FRAMING for name, _ in self._headers):
                raise invalid(f"status {status}")
            self._headers = []
            if status == 100 and sink is not None:
                sink.on_continue()
            return
        self._head_read(
            read_head(
                status,
                parser.get_http_version(),
                self._headers,
                method=self._method,
                rewriter=self._rewriter,
            )
        )

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._doubtful = True
        elif self._sink is not None:
            self._body_seen = True
            self._sink.on_body(data)

    def on_message_complete(self) -> None:
        if self._final:
            self._complete = True

    def _head_read(self, head: ResponseHead) -> None:
        self._final = True
        self._length = head.length
        self._keep_alive = head.keep_alive
        if head.idle is not None:
            # One second early: the application closes by its own clock.
            self._keep_for = min(self._limits.keep_alive, head.idle - 1.0)
        if self._sink is not None:
            self._sink.on_head(head)
        if head.length == NO_BODY:
            self._complete = True

    def _plain_head(self, data: bytes) -> bool:
        """Read an answer whose head is whole and plain; False: nothing was done, the parser must."""
        room = self._head_room
        end = data.find(b"\r\n\r\n", 0, room)
        if end < 0:
            return False
        head = read_plain(data[:end], method=self._method, rewriter=self._rewriter)
        if head is None:
            return False
        self._head_room = room - len(data)
        self._head_read(head)
        body = data[end + 4 :]
        if self._complete:
            self._doubtful = bool(body)
            return True
        self._body_left = head.length
        if body:
            self._plain_body(body)
        else:
            self._set_deadline()
        return True

    def _plain_body(self, data: bytes) -> None:
        left = self._body_left - len(data)
        if left < 0:
            # What follows a whole answer is nobody's; it costs the connection, not the answer.
            self._doubtful = True
            data, left = data[:left], 0
        self._body_left = left
        if self._sink is not None:
            self._sink.on_body(data)
        if left:
            self._set_deadline()
        else:
            self._complete = True

    def _feed_head(self, data: bytes) -> None:
        """Feed bytes of a head, never more than `head_size` of them."""
        room = self._head_room
        self._head_room = room - len(data)
        if self._head_room >= 0:
            self._parser.feed_data(data)
        else:
            self._parser.feed_data(data[:room])
            if not self._final:
                raise UpstreamFailure(502, "upstream_head_too_large", "the response's head is too large")
            self._parser.feed_data(data[room:])
        if self._final and not self._complete:
            self._set_deadline()

    def _feed_body(self, data: bytes) -> None:
        self._body_seen = False
        self._parser.feed_data(data)
        if not self._complete:
            self._set_deadline()
        if self._body_seen:
            self._silent = 0
        else:
            # Chunk extensions and trailers: nobody hears them, so nobody would stop them.
            self._silent += len(data)
            if self._silent > self._limits.head_size:
                raise invalid("endless chunk framing")
