"""A plain answer is read as llhttp would read it; whatever is in doubt is left to llhttp."""

from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream import plain
from gatekeeper.upstream.framing import ResponseHead, read_head
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.plain import read_plain
from gatekeeper.upstream.rewrite import Rewriter

REWRITER = Rewriter(Origin.parse("http://127.0.0.1:9000"), ["https://www.example.com"])
OK = b"HTTP/1.1 200 OK\r\n"


class Llhttp:
    """What the parser and `read_head` make of a head; None when they refuse it."""

    def __init__(self, block: bytes, method: str) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.head: ResponseHead | None = None
        self._method = method
        self._parser: Any = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(block + b"\r\n\r\n")
        except (httptools.HttpParserError, UpstreamFailure):
            self.head = None

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        version = self._parser.get_http_version()
        status = self._parser.get_status_code()
        self.head = read_head(status, version, self.headers, method=self._method, rewriter=REWRITER)


def read(block: bytes, method: str = "GET") -> ResponseHead | None:
    return read_plain(block, method=method, rewriter=REWRITER)


def test_a_plain_head_is_read() -> None:
    head = read(OK + b'Server:  x\r\nContent-Length: 5\r\nETag: "1"\r\nKeep-Alive: timeout=7')
    assert head == ResponseHead(
        200, [(b"server", b"x"), (b"content-length", b"5"), (b"etag", b'"1"')], 5, True, 7.0
    )


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5",
        b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5",
        b"HTTP/1.1 600 X\r\nContent-Length: 5",
        b"HTTP/1.1  200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 200 O\nK\r\nContent-Length: 5",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 5",
        OK + b"X: 1",
        OK + b"Transfer-Encoding: chunked",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        OK + b"Content-Length: 5\r\nContent-Length: 5",
        OK + b"Content-Length: +5",
        OK + b"Content-Length: 5, 5",
        OK + b"Content-Length: 0x5",
        OK + b"Content-Length: ",
        OK + b"Content-Length: 5 ",
        OK + b"Content-Length: 5\t",
        OK + b"Content-Length: 1234567890123456789",
        OK + b"Content-Length : 5",
        OK + b"Content-Length: 5\r\nX: a\r\n b",
        OK + b"Content-Length: 5\r\nX: a\nY: b",
        OK + b"Content-Length: 5\r\nX: a\rY: b",
        OK + b"Content-Length: 5\r\nX: a\x00",
        OK + b"Content-Length: 5\r\nX Y: a",
        OK + b"Content-Length: 5\r\nno colon",
        OK + b"Content-Length: 5\r\n: no name",
        OK + b"Content-Length: 5\r\nConnection: content-type",
        OK + b"Content-Length: 5\r\nUpgrade: h2c",
    ],
)
def test_what_is_in_doubt_is_left_to_the_parser(block: bytes) -> None:
    assert read(block) is None


def test_cookies_and_addresses_are_rewritten_and_never_remembered() -> None:
    plain._met_before.clear()
    head = read(OK + b"Content-Length: 5\r\nSet-Cookie: a=b\r\nLocation: http://127.0.0.1:9000/x")
    assert head is not None
    assert (b"location", b"https://www.example.com/x") in head.headers
    assert not plain._met_before


def test_memory_for_lines_and_names_is_bounded() -> None:
    for number in range(3000):
        read(OK + b"Content-Length: 5\r\nETag: %d\r\nX-%d: 1" % (number, number))
    assert len(plain._met_before) <= 1024 and len(plain._names) <= 1024


_LINES = st.sampled_from(
    [
        *(
            b"Content-Length: %b" % value
            for value in (b"0", b"5", b" 5 ", b"05", b"5\t", b"-1", b"5x", b"\x0b5")
        ),
        *(b"Connection: %b" % value for value in (b"close", b"keep-alive", b"Close", b"close, x", b"")),
        *(b"%b: 1" % name for name in (b"X", b"X_Y", b"X Y", b" X", b"", b"X\t", b"\xc3", b"Upgrade", b"TE")),
        *(
            b"X: %b" % value
            for value in (b"", b" \t a \t ", b"\x01", b"\x7f", b"\xff", b"a\rb", b"a\nb", b":")
        ),
        b"Transfer-Encoding: chunked",
        b"Keep-Alive: timeout=5",
        b"Location: //127.0.0.1:9000/a",
        b"Server: x",
        b"Server:x",
    ]
)
_FIRST = st.sampled_from(
    [
        OK[:-2],
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200",
        b"HTTP/1.1 404 \xff",
        b"HTTP/1.1 099 X",
        b"HTTP/1.1 500 a\x0b",
    ]
)


@given(_FIRST, st.lists(_LINES | st.binary(max_size=12), max_size=5), st.sampled_from(["GET", "HEAD"]))
def test_what_is_plain_means_the_same_to_llhttp(first: bytes, lines: list[bytes], method: str) -> None:
    block = b"\r\n".join([first, *lines])
    if b"\r\n\r\n" in block + b"\r\n":
        return
    found = read(block, method)
    if found is not None:
        assert found == Llhttp(block, method).head
