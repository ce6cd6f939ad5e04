"""What a client may send and what must come of it: data, run here against the server protocol alone and
elsewhere through the whole Gatekeeper against an application that records what reaches it.

The Host in the table is `HOST`; whoever runs it serves that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOST = b"app.example.com"

OK = (200,)
CLOSED: Literal["closed"] = "closed"
OPEN: Literal["open"] = "open"
WAITING: Literal["waiting"] = "waiting"


@dataclass(frozen=True)
class Reached:
    """A whole request as the application must get it."""

    method: str
    target: bytes
    body: bytes = b""
    has: tuple[tuple[bytes, bytes], ...] = ()
    """Header fields that must be there, names in lower case."""
    lacks: tuple[bytes, ...] = ()
    """Header names that must not be there in any case."""
    stripped: tuple[bytes, ...] = ()
    """Header names, in any spelling, that the gate must have removed (the server alone passes them on)."""


@dataclass(frozen=True)
class Case:
    """Bytes on one connection. `statuses`: final answers in order. `reaches`: whole requests, in order."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]
    reaches: tuple[Reached, ...] = ()
    after: Literal["closed", "open", "waiting"] = CLOSED
    """closed: the server ends the connection. open: the next request is answered as itself. waiting: the
    server has answered `statuses` and waits for the rest of a request."""
    gate: tuple[int, ...] | None = None
    """Statuses through the whole Gatekeeper where it refuses what the server passes; nothing reaches."""


def head(line: bytes, *fields: bytes, host: bytes | None = HOST) -> bytes:
    lines = [line, *([b"Host: " + host] if host is not None else []), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(*fields: bytes, target: bytes = b"/a") -> bytes:
    return head(b"GET " + target + b" HTTP/1.1", *fields)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return head(b"POST /a HTTP/1.1", *fields) + body


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"
GOT = Reached("GET", b"/a")
SECOND = Reached("GET", b"/b")
NEXT = get(target=b"/b")


def refused(name: str, sent: bytes, status: int = 400) -> Case:
    return Case(name, sent, (status,))


def passed(name: str, sent: bytes, reached: Reached = GOT) -> Case:
    return Case(name, sent, OK, (reached,), OPEN)


REQUEST_LINES = [
    passed("plain GET", get()),
    passed("query", get(target=b"/a?x=1&y=%2F"), Reached("GET", b"/a?x=1&y=%2F")),
    passed("second question mark", get(target=b"/a?b?c"), Reached("GET", b"/a?b?c")),
    passed("PROPFIND", head(b"PROPFIND /a HTTP/1.1"), Reached("PROPFIND", b"/a")),
    passed("DELETE without a body", head(b"DELETE /a HTTP/1.1"), Reached("DELETE", b"/a")),
    passed("HEAD", head(b"HEAD /a HTTP/1.1"), Reached("HEAD", b"/a")),
    passed("one empty line first", b"\r\n" + get()),
    refused("two empty lines first", b"\r\n\r\n" + get()),
    refused("bare LF first", b"\n" + get()),
    refused("space first", b" " + get()),
    refused("HTTP/0.9", b"GET /a\r\n"),
    refused("HTTP/0.9 with headers", head(b"GET /a")),
    refused("no method", head(b"/a HTTP/1.1")),
    refused("no target", head(b"GET HTTP/1.1")),
    refused("two spaces after the method", head(b"GET  /a HTTP/1.1")),
    refused("two spaces after the target", head(b"GET /a  HTTP/1.1")),
    refused("tab after the method", head(b"GET\t/a HTTP/1.1")),
    refused("space in the target", head(b"GET /a b HTTP/1.1")),
    refused("space at the end of the line", head(b"GET /a HTTP/1.1 ")),
    refused("lower case http", head(b"GET /a http/1.1")),
    refused("HTTP/1.", head(b"GET /a HTTP/1.")),
    refused("HTTP/1.10", head(b"GET /a HTTP/1.10")),
    refused("HTTP/01.1", head(b"GET /a HTTP/01.1")),
    refused("HTTP/1,1", head(b"GET /a HTTP/1,1")),
    refused("ICE/1.1", head(b"GET /a ICE/1.1")),
    refused("HTTP/2.0", head(b"GET /a HTTP/2.0"), 505),
    refused("HTTP/1.2", head(b"GET /a HTTP/1.2"), 505),
    refused("HTTP/0.9 by name", head(b"GET /a HTTP/0.9"), 505),
    refused("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("lower case method", head(b"get /a HTTP/1.1"), 501),
    refused("mixed case method", head(b"Get /a HTTP/1.1"), 501),
    refused("method with an apostrophe", head(b"GE'T /a HTTP/1.1"), 501),
    refused("method of 33 letters", head(b"G" * 33 + b" /a HTTP/1.1"), 501),
    refused("method with a colon", head(b"GET: /a HTTP/1.1")),
    refused("method with a NUL", head(b"GE\x00T /a HTTP/1.1")),
    refused("CONNECT", head(b"CONNECT app.example.com:443 HTTP/1.1"), 501),
    refused("CONNECT with a path", head(b"CONNECT /a HTTP/1.1"), 501),
    refused("TRACE", head(b"TRACE /a HTTP/1.1"), 501),
    refused("TRACK", head(b"TRACK /a HTTP/1.1"), 501),
    refused("OPTIONS *", head(b"OPTIONS * HTTP/1.1")),
    refused("GET *", head(b"GET * HTTP/1.1")),
    refused("authority-form", head(b"GET app.example.com:80 HTTP/1.1")),
    refused("relative target", head(b"GET a HTTP/1.1")),
    refused("fragment", head(b"GET /a#b HTTP/1.1")),
    refused("fragment in the query", head(b"GET /a?b#c HTTP/1.1")),
    refused("8-bit target", head(b"GET /\xc3\xa9 HTTP/1.1")),
    refused("DEL in the target", head(b"GET /\x7f HTTP/1.1")),
    refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    refused("request line too long", head(b"GET /" + b"a" * 70_000 + b" HTTP/1.1"), 414),
    refused("request line too long in a small head", head(b"GET /" + b"a" * 40_000 + b" HTTP/1.1"), 414),
    refused("request line too long and unfinished", b"GET /" + b"a" * 70_000, 414),
    Case("request line not complete", b"GET /a HT", (), (), WAITING),
]

ABSOLUTE = [
    passed("absolute-form, our host", get(target=b"http://" + HOST + b"/a")),
    passed("absolute-form, https", get(target=b"https://" + HOST + b"/a")),
    passed("absolute-form, capitals", get(target=b"HTTP://APP.example.com/a")),
    passed("absolute-form, no path", get(target=b"http://" + HOST), Reached("GET", b"/")),
    passed("absolute-form, only a query", get(target=b"http://" + HOST + b"?x"), Reached("GET", b"/?x")),
    refused("absolute-form, other host", get(target=b"http://evil.example.com/a")),
    refused("absolute-form, user information", get(target=b"http://" + HOST + b"@evil.example.com/a")),
    refused("absolute-form, user before our host", get(target=b"http://x@" + HOST + b"/a")),
    refused("absolute-form, other port", get(target=b"http://" + HOST + b":81/a")),
    refused("absolute-form, no host", get(target=b"http:///a")),
    refused("absolute-form, ftp", get(target=b"ftp://" + HOST + b"/a")),
    refused("absolute-form, no slashes", get(target=b"http:/a")),
    refused("absolute-form without Host", head(b"GET http://" + HOST + b"/a HTTP/1.1", host=None)),
    refused("absolute-form with a fragment", get(target=b"http://" + HOST + b"/a#b")),
]

HOSTS = [
    passed("HTTP/1.1 host in capitals", head(b"GET /a HTTP/1.1", host=b"APP.example.com")),
    refused("no Host", head(b"GET /a HTTP/1.1", host=None)),
    refused("no Host on HTTP/1.0", head(b"GET /a HTTP/1.0", host=None)),
    refused("Host twice", get(b"Host: " + HOST)),
    refused("Host twice, other value", get(b"Host: evil.example.com")),
    refused("Host twice, other spelling", get(b"hOST: evil.example.com")),
    refused("empty Host", head(b"GET /a HTTP/1.1", host=b"")),
    refused("two hosts in one", head(b"GET /a HTTP/1.1", host=HOST + b", evil.example.com")),
    refused("two hosts by a space", head(b"GET /a HTTP/1.1", host=HOST + b" evil.example.com")),
    refused("Host with a path", head(b"GET /a HTTP/1.1", host=HOST + b"/x")),
    refused("Host with a user", head(b"GET /a HTTP/1.1", host=b"x@" + HOST)),
    refused("Host with a scheme", head(b"GET /a HTTP/1.1", host=b"http://" + HOST)),
    refused("Host with an empty port", head(b"GET /a HTTP/1.1", host=HOST + b":")),
    refused("Host with a port of letters", head(b"GET /a HTTP/1.1", host=HOST + b":8o")),
    refused("Host with a port too high", head(b"GET /a HTTP/1.1", host=HOST + b":65536")),
    refused("Host with two ports", head(b"GET /a HTTP/1.1", host=HOST + b":80:80")),
    refused("Host with a bad IPv6 address", head(b"GET /a HTTP/1.1", host=b"[::1::2]")),
    refused("Host with an open bracket", head(b"GET /a HTTP/1.1", host=b"[::1")),
    refused("Host in 8 bits", head(b"GET /a HTTP/1.1", host=b"\xc3\xa9.example.com")),
    refused("Host with a percent sign", head(b"GET /a HTTP/1.1", host=b"app%2eexample.com")),
    refused("space before Host's colon", head(b"GET /a HTTP/1.1", b"Host : " + HOST, host=None)),
    refused("folded Host", head(b"GET /a HTTP/1.1", b"Host:", b" " + HOST, host=None)),
    Case("foreign Host", head(b"GET /a HTTP/1.1", host=b"evil.example.com"), OK, (GOT,), OPEN, gate=(421,)),
    Case("IPv6 Host", head(b"GET /a HTTP/1.1", host=b"[::1]:8080"), OK, (GOT,), OPEN, gate=(421,)),
]

HEADERS = [
    passed("no space after the colon", get(b"X:1"), Reached("GET", b"/a", has=((b"x", b"1"),))),
    passed("spaces around a value", get(b"X: \t 1 \t"), Reached("GET", b"/a", has=((b"x", b"1"),))),
    passed("empty value", get(b"X:"), Reached("GET", b"/a", has=((b"x", b""),))),
    passed("8-bit value", get(b"X: \xc3\xa9"), Reached("GET", b"/a", has=((b"x", b"\xc3\xa9"),))),
    passed("tab inside a value", get(b"X: a\tb"), Reached("GET", b"/a", has=((b"x", b"a\tb"),))),
    passed("colon inside a value", get(b"X: a:b"), Reached("GET", b"/a", has=((b"x", b"a:b"),))),
    refused("header without a colon", get(b"X")),
    refused("header without a name", get(b": x")),
    refused("space before the colon", get(b"X : 1")),
    refused("tab before the colon", get(b"X\t: 1")),
    refused("space inside a name", get(b"X Y: 1")),
    refused("obs-fold with a space", get(b"X: 1", b" 2")),
    refused("obs-fold with a tab", get(b"X: 1", b"\t2")),
    refused("obs-fold before any header", b"GET /a HTTP/1.1\r\n Host: " + HOST + b"\r\n\r\n"),
    refused("obs-fold hiding a length", post(b"X: 1", b" Content-Length: 5", body=b"hello")),
    refused("8-bit name", get(b"X\xe9: 1")),
    refused("name in parentheses", get(b"X(1): 1")),
    refused("name with a slash", get(b"X/Y: 1")),
    refused("name in quotes", get(b'"X": 1')),
    refused("bare LF at the end of a header", b"GET /a HTTP/1.1\r\nX: 1\nHost: " + HOST + b"\r\n\r\n"),
    refused("bare LF at the end of the request line", b"GET /a HTTP/1.1\nHost: " + HOST + b"\r\n\r\n"),
    refused("bare LF everywhere", b"GET /a HTTP/1.1\nHost: " + HOST + b"\n\n"),
    refused("bare LF as the empty line", b"GET /a HTTP/1.1\r\nHost: " + HOST + b"\r\n\n"),
    refused("bare CR in a value", get(b"X: 1\r2")),
    refused("bare CR at the end of a header", b"GET /a HTTP/1.1\rHost: " + HOST + b"\r\n\r\n"),
    refused("CR CR LF", b"GET /a HTTP/1.1\r\r\nHost: " + HOST + b"\r\n\r\n"),
    refused("LF CR", b"GET /a HTTP/1.1\n\rHost: " + HOST + b"\r\n\r\n"),
    *(
        refused(f"byte {byte:#04x} in a value", get(b"X: a" + bytes([byte]) + b"b"))
        for byte in (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F)
    ),
    *(
        refused(f"byte {byte:#04x} in a name", get(b"X" + bytes([byte]) + b": b"))
        for byte in (0x00, 0x0B, 0x0C, 0x7F)
    ),
    refused("NUL after the head's end began", b"GET /a HTTP/1.1\r\n\x00"),
    refused("one header too large", get(b"X: " + b"x" * 70_000), 431),
    refused("many headers too large", get(*[b"X: " + b"x" * 1000] * 70), 431),
    refused("too many headers", get(*[b"X: 1"] * 200), 431),
    refused("head too large and unfinished", b"GET /a HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
    Case("head not complete", b"GET /a HTTP/1.1\r\nHost: " + HOST + b"\r\nX: 1\r\n", (), (), WAITING),
]

POSTED = Reached("POST", b"/a", b"hello")
EMPTY = Reached("POST", b"/a", b"")

LENGTHS = [
    passed("a body by its length", post(b"Content-Length: 5", body=b"hello"), POSTED),
    passed("length zero", post(b"Content-Length: 0"), EMPTY),
    passed("POST without any length", post(), EMPTY),
    passed("GET with a body", get(b"Content-Length: 5") + b"hello", Reached("GET", b"/a", b"hello")),
    Case(
        "0.CL: a request in a body",
        get(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        OK,
        (Reached("GET", b"/a", SMUGGLED),),
        OPEN,
    ),
    Case("0.CL: the length's body is the next request", get(b"Content-Length: 60") + NEXT, (), (), WAITING),
    refused("length twice, equal", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    refused("length twice, different", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!")),
    refused("length twice, other spelling", post(b"Content-Length: 5", b"content-LENGTH: 0", body=b"hello")),
    *(
        refused(f"length {value!r}", post(b"Content-Length: " + value, body=b"hello"))
        for value in (
            b"5, 5",
            b"5,6",
            b"+5",
            b"-5",
            b"-0",
            b"05",
            b"0x5",
            b"5.0",
            b"5e0",
            b"5 5",
            b"five",
            b"",
            b"5;a",
            b"5_0",
            b"\xd9\xa5",
            b"9" * 19,
            b"1" * 400,
            b"'5'",
        )
    ),
    refused("space before the length's colon", post(b"Content-Length : 5", body=b"hello")),
    refused("length with an underscore", post(b"Content_Length: 5", body=b"hello")),
    refused("length with a dot", post(b"Content.Length: 5", body=b"hello")),
    refused("length with a vertical tab", post(b"Content-Length:\x0b5", body=b"hello")),
    refused("length beyond the cap", post(b"Content-Length: 999999999999999999"), 413),
    Case("body not complete", post(b"Content-Length: 6", body=b"hello"), (), (), WAITING),
    Case(
        "more than the length is the next request",
        post(b"Content-Length: 5", body=b"hello") + NEXT,
        (200, 200),
        (POSTED, SECOND),
        OPEN,
    ),
    Case("garbage after a body", post(b"Content-Length: 5", body=b"hello\x00"), (200, 400), (POSTED,)),
]

TE = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

CODINGS = [
    passed("a chunked body", chunked(CHUNKS), POSTED),
    passed("Chunked in capitals", post(b"Transfer-Encoding: Chunked", body=CHUNKS), POSTED),
    refused("CL.TE", post(b"Content-Length: 6", TE, body=b"0\r\n\r\nG")),
    refused("TE.CL", post(TE, b"Content-Length: 4", body=b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n")),
    refused("TE and length zero", post(TE, b"Content-Length: 0", body=CHUNKS)),
    refused("TE.TE", post(TE, TE, body=CHUNKS)),
    refused("TE.TE, the second unknown", post(TE, b"Transfer-encoding: x", body=CHUNKS)),
    refused("TE.TE, identity first", post(b"Transfer-Encoding: identity", TE, body=CHUNKS)),
    refused("TE, then a length by underscore", post(TE, b"Content_Length: 5", body=CHUNKS)),
    *(
        refused(f"coding {value!r}", post(b"Transfer-Encoding: " + value, body=CHUNKS), status)
        for value, status in (
            (b"", 400),
            (b"identity", 400),
            (b"gzip", 400),
            (b"xchunked", 400),
            (b"chunkedx", 400),
            (b"chunked, chunked", 400),
            (b"chunked, identity", 400),
            (b"chunked,", 400),
            (b",chunked", 400),
            (b'"chunked"', 400),
            (b"chunked;q=1", 400),
            (b"chunked foo", 400),
            (b"'chunked'", 400),
            (b"\x0bchunked", 400),
            (b"chunked\x00", 400),
            (b"gzip, chunked", 501),
            (b"identity, chunked", 501),
            (b"x, y, Chunked", 501),
        )
    ),
    refused("space before the coding's colon", post(b"Transfer-Encoding : chunked", body=CHUNKS)),
    refused("tab before the coding's colon", post(b"Transfer-Encoding\t: chunked", body=CHUNKS)),
    refused("space before the coding's name", post(b" Transfer-Encoding: chunked", body=CHUNKS)),
    refused("folded coding", post(b"Transfer-Encoding:", b" chunked", body=CHUNKS)),
    refused("coding behind a bare LF", post(b"X: 1\nTransfer-Encoding: chunked", body=CHUNKS)),
    refused("coding behind a bare CR", post(b"X: 1\rTransfer-Encoding: chunked", body=CHUNKS)),
    refused("coding with an underscore", post(b"Transfer_Encoding: chunked", body=CHUNKS)),
    refused("coding on HTTP/1.0", head(b"POST /a HTTP/1.0", TE) + CHUNKS),
    Case("GET in chunks", get(TE) + CHUNKS, OK, (Reached("GET", b"/a", b"hello"),), OPEN),
]


def broken(name: str, body: bytes, status: int = 400) -> Case:
    """A chunked body that goes wrong: no whole request reaches anybody."""
    return Case(name, chunked(body), (status,))


CHUNK_ABUSE = [
    passed("no chunk", chunked(b"0\r\n\r\n"), EMPTY),
    passed("two chunks", chunked(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), POSTED),
    passed("leading zeros", chunked(b"0000000000000005\r\nhello\r\n000\r\n\r\n"), POSTED),
    passed("capital digits", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), Reached("POST", b"/a", b"0123456789")),
    passed("extension", chunked(b'5;a="b;c"\r\nhello\r\n0;x\r\n\r\n'), POSTED),
    broken("17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    broken("a size beyond 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    broken("a size beyond the cap", b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", 413),
    *(
        broken(f"size {value!r}", value + b"\r\nhello\r\n0\r\n\r\n")
        for value in (
            b"+5",
            b"-5",
            b"0x5",
            b"5h",
            b" 5",
            b"5 ",
            b"5\t",
            b"\t5",
            b"",
            b"5 ;a",
            b";a",
            b"5,5",
            b"5.",
            b"0_5",
            b"\xd9\xa5",
            b"5\x00",
            b"5;\x00",
            b"5;a\x0b",
            b"5;a\x7f",
        )
    ),
    broken("bare LF after the size", b"5\nhello\r\n0\r\n\r\n"),
    broken("bare LF in an extension", b"5;a\nhello\r\n0\r\n\r\n"),
    broken("bare CR after the size", b"5\rhello\r\n0\r\n\r\n"),
    broken("bare LF after the data", b"5\r\nhello\n0\r\n\r\n"),
    broken("bare CR after the data", b"5\r\nhello\r0\r\n\r\n"),
    broken("data longer than the size", b"5\r\nhello!\r\n0\r\n\r\n"),
    broken("data shorter than the size", b"6\r\nhello\r\n0\r\n\r\n"),
    broken("bare LF at the end", b"5\r\nhello\r\n0\n\n"),
    broken("endless extension", b"5;" + b"a" * 20_000, 431),
    broken("extensions without end", b"1;%b\r\nx\r\n" % (b"a" * 900) * 20 + b"0\r\n\r\n", 431),
    Case("last chunk not complete", chunked(b"5\r\nhello\r\n0\r\n"), (), (), WAITING),
    Case(
        "a request inside a chunk",
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        OK,
        (Reached("POST", b"/a", SMUGGLED),),
        OPEN,
    ),
    Case("a request behind the last chunk", chunked(CHUNKS) + NEXT, (200, 200), (POSTED, SECOND), OPEN),
]

QUIET = Reached("POST", b"/a", b"hello", lacks=(b"remote-user", b"x-trailer", b"host2"))

TRAILERS = [
    passed("trailer", chunked(b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"), QUIET),
    passed(
        "announced trailer", chunked(b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", b"Trailer: X-Trailer"), QUIET
    ),
    passed("identity in a trailer", chunked(b"5\r\nhello\r\n0\r\nRemote-User: root\r\n\r\n"), QUIET),
    passed("length in a trailer", chunked(b"5\r\nhello\r\n0\r\nContent-Length: 500\r\n\r\n"), QUIET),
    passed("coding in a trailer", chunked(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), QUIET),
    passed("Host in a trailer", chunked(b"5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n"), QUIET),
    broken("trailer without a colon", b"0\r\nX\r\n\r\n"),
    broken("trailer with a space before the colon", b"0\r\nX : 1\r\n\r\n"),
    broken("folded trailer", b"0\r\nX: 1\r\n 2\r\n\r\n"),
    broken("trailer with a bare LF", b"0\r\nX: 1\n\r\n\r\n"),
    broken("trailer with a NUL", b"0\r\nX: \x00\r\n\r\n"),
    broken("request line as a trailer", b"0\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"),
    broken("trailers too large", b"0\r\n" + b"X: %b\r\n" % (b"x" * 900) * 20 + b"\r\n", 431),
    broken("endless trailer", b"0\r\nX: " + b"x" * 20_000, 431),
]

PIPELINES = [
    Case("two requests at once", get() + NEXT, (200, 200), (GOT, SECOND), OPEN),
    Case("twenty requests at once", get() * 20, OK * 20, (GOT,) * 20, OPEN),
    Case("a bad second request", get() + head(b"GET /b HTTP/1.1", host=None), (200, 400), (GOT,)),
    Case("a second request behind a refused one", head(b"GET /a HTTP/1.1", host=None) + NEXT, (400,)),
    Case("a second request behind close", get(b"Connection: close") + NEXT, OK, (GOT,)),
    Case("a second request behind HTTP/1.0", head(b"GET /a HTTP/1.0") + NEXT, OK, (GOT,)),
    Case("HTTP/1.0 keep-alive is not kept", head(b"GET /a HTTP/1.0", b"Connection: keep-alive"), OK, (GOT,)),
    Case("close among other options", get(b"Connection: x, CLOSE"), OK, (GOT,)),
    Case("an empty line between", get() + b"\r\n" + NEXT, (200, 200), (GOT, SECOND), OPEN),
    Case("an empty line before each", (b"\r\n" + get()) * 3, OK * 3, (GOT,) * 3, OPEN),
    Case("two empty lines between", get() + b"\r\n\r\n" + NEXT, (200, 400), (GOT,)),
    Case("half a second request", get() + b"GET /b HT", OK, (GOT,), WAITING),
    Case(
        "body, chunks, nothing",
        post(b"Content-Length: 5", body=b"hello") + chunked(CHUNKS) + NEXT,
        (200, 200, 200),
        (POSTED, POSTED, SECOND),
        OPEN,
    ),
]

OPTIONS = [
    passed(
        "an unknown upgrade is ignored",
        get(b"Connection: upgrade", b"Upgrade: foo/2"),
        Reached("GET", b"/a", lacks=(b"upgrade",)),
    ),
    passed(
        "h2c is ignored and not passed on",
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        Reached("GET", b"/a", lacks=(b"upgrade", b"http2-settings")),
    ),
    passed(
        "HTTP2-Settings alone",
        get(b"HTTP2-Settings: AAMAAABk"),
        Reached("GET", b"/a", lacks=(b"http2-settings",)),
    ),
    passed(
        "h2c with a body",
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello"),
        Reached("POST", b"/a", b"hello", lacks=(b"upgrade",)),
    ),
    passed(
        "websocket without Connection", get(b"Upgrade: websocket"), Reached("GET", b"/a", lacks=(b"upgrade",))
    ),
    passed(
        "websocket twice",
        get(b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
        Reached("GET", b"/a", lacks=(b"upgrade",)),
    ),
    Case(
        "websocket on HTTP/1.0",
        head(b"GET /a HTTP/1.0", b"Connection: upgrade", b"Upgrade: websocket"),
        OK,
        (Reached("GET", b"/a", lacks=(b"upgrade",)),),
    ),
    refused("websocket by POST", post(b"Connection: upgrade", b"Upgrade: websocket")),
    refused("websocket without a version", get(b"Connection: upgrade", b"Upgrade: websocket")),
    refused(
        "websocket of version 8",
        get(b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 8"),
        426,
    ),
    refused(
        "websocket without a key",
        get(b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    ),
    refused(
        "websocket with a short key",
        get(
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAAA",
        ),
    ),
    refused(
        "websocket with two keys",
        get(
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            *[b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="] * 2,
        ),
    ),
    refused(
        "websocket with a body",
        get(
            b"Connection: upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            b"Content-Length: 5",
        )
        + b"hello",
    ),
    passed(
        "Expect: 100-continue", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), POSTED
    ),
    passed("100-continue without a body", get(b"Expect: 100-continue")),
    Case(
        "100-continue on HTTP/1.0",
        head(b"POST /a HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 5") + b"hello",
        OK,
        (POSTED,),
    ),
    refused("another expectation", get(b"Expect: 200-ok"), 417),
    refused("two expectations", get(b"Expect: 100-continue", b"Expect: 100-continue"), 417),
    *(
        refused(
            f"Connection: {name.decode()}", post(b"Connection: " + name, b"Content-Length: 5", body=b"hello")
        )
        for name in (
            b"Content-Length",
            b"close, Host",
            b"Transfer-Encoding",
            b"Cookie",
            b"Authorization",
            b"a b",
        )
    ),
]

SPELLINGS = (
    b"Remote-User",
    b"remote-user",
    b"REMOTE-USER",
    b"Remote_User",
    b"remote.user",
    b"REMOTE_USER",
    b"Remote-Groups",
    b"remote_groups",
    b"Remote-Name",
    b"Remote-Email",
    b"X-Gatekeeper-Assertion",
)
NOBODY = Reached(
    "GET",
    b"/a",
    stripped=(b"remote-user", b"remote-groups", b"remote-name", b"remote-email", b"x-gatekeeper-assertion"),
)

IDENTITY = [
    *(passed(f"identity as {name.decode()}", get(name + b": root"), NOBODY) for name in SPELLINGS),
    passed("identity twice", get(b"Remote-User: a", b"Remote_User: b", b"remote-user: c"), NOBODY),
    passed("identity listed in Connection", get(b"Connection: Remote-User", b"Remote-User: root"), NOBODY),
    passed("identity listed in Connection, not sent", get(b"Connection: close-not, Remote-User"), NOBODY),
    passed("identity in chunks' trailer", get(TE) + b"0\r\nRemote-User: root\r\n\r\n", NOBODY),
    refused("identity with a space", get(b"Remote-User : root")),
    refused("identity folded", get(b"X: 1", b" Remote-User: root")),
    refused("identity behind a bare LF", get(b"X: 1\nRemote-User: root")),
    refused("identity behind a bare CR", get(b"X: 1\rRemote-User: root")),
]

GROUPS: dict[str, list[Case]] = {
    "request line": REQUEST_LINES,
    "absolute-form": ABSOLUTE,
    "host": HOSTS,
    "headers": HEADERS,
    "length": LENGTHS,
    "coding": CODINGS,
    "chunks": CHUNK_ABUSE,
    "trailers": TRAILERS,
    "pipelining": PIPELINES,
    "options": OPTIONS,
    "identity": IDENTITY,
}

CASES: list[Case] = [case for group in GROUPS.values() for case in group]
