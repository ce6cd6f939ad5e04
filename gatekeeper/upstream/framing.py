"""HTTP/1.1 heads as values: what is sent to the application, and what its answer may look like.

Nothing that could be read in two ways passes: RFC 9112 sections 6 and 11, RFC 9110 sections 5.5 and 7.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.core.errors import RequestRejected, UpstreamFailure
from gatekeeper.upstream.rewrite import REWRITTEN, Rewriter

Headers = Sequence[tuple[bytes, bytes]]

NO_BODY = 0
CHUNKED = -1
UNDECLARED = -2
"""HTTP/2 and later: a body needs no declaration, so only reading it tells."""
UNTIL_EOF = -2

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_IN_A_LINE = bytes(set(range(0x100)) - set(b"\r\n\0"))
_COLON = b": "
_TARGET = bytes(set(range(0x21, 0x100)) - {0x7F})
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
_REQUEST_SPECIAL = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}
RESPONSE_SPECIAL = _HOP_BY_HOP | {b"content-length"} | REWRITTEN
_END_TO_END = frozenset((b"content-length", b"set-cookie", b"cache-control", b"location", b"content-type"))
"""Never dropped, even when the application's Connection header lists them."""
_KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*(\d{1,6})", re.IGNORECASE)

_valid_names: set[bytes] = set()
"""Tokens in lower case that were field names before."""
_VALID_NAMES_MAX = 1024


class RequestHead(NamedTuple):
    """A request as bytes, without the framing lines that `CHUNKED` and `UNDECLARED` add and the last CRLF."""

    data: bytes
    length: int
    """Of the body: bytes, `CHUNKED` or `UNDECLARED`."""
    expects: bool
    """The client waits for 100 (Continue) before it sends its body."""


class ResponseHead(NamedTuple):
    """A final response's head, ready for the client."""

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int
    """Of the body: bytes, `CHUNKED` or `UNTIL_EOF`; `NO_BODY` for HEAD, 204 and 304."""
    keep_alive: bool
    idle: float | None
    """For how many seconds the application says it keeps an unused connection."""


def write_head(
    method: str, target: bytes, headers: Headers, *, host: bytes | None, fallback_host: bytes, version: str
) -> RequestHead:
    """Serialise a request; `host` None keeps the client's own Host (`fallback_host` when it has none).

    Raises `RequestRejected` (400) when a byte of it could end a line or a body could be read in two ways.
    """
    names = [name for name, _ in headers]
    if not _valid_names.issuperset(names):
        headers = [(_valid_name(name), value) for name, value in headers]
    sent_host = host
    length: int | None = None
    chunked = expects = False
    fields: list[tuple[bytes, bytes]] = [(b"host", b"")]
    for field in headers:
        name = field[0]
        if name not in _REQUEST_SPECIAL:
            fields.append(field)
        elif name == b"host":
            if host is None:
                if sent_host is not None:
                    raise RequestRejected(400, "duplicate_host")
                sent_host = field[1]
        elif name == b"content-length":
            value = field[1]
            if length is not None or not value.isdigit() or len(value) > 18:
                raise RequestRejected(400, "bad_content_length")
            length = int(value)
            fields.append(field)
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"expect" and version == "1.1":
            expects = expects or field[1].lower() == b"100-continue"
            fields.append(field)
    if chunked and length is not None:
        raise RequestRejected(400, "conflicting_framing")
    if method == "CONNECT":
        raise RequestRejected(501, "method_not_supported")
    if target.translate(None, _TARGET) or not target or not _is_token(method.encode()):
        raise RequestRejected(400, "unsafe_head")
    fields[0] = (b"host", sent_host or fallback_host)
    lines = b"\r\n".join(map(_COLON.join, fields))
    data = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines)
    if data.translate(None, _IN_A_LINE) != b"\r\n" * (len(fields) + 1):
        raise RequestRejected(400, "unsafe_head")
    if length is None:
        length = CHUNKED if chunked else NO_BODY if version in ("1.0", "1.1") else UNDECLARED
    return RequestHead(data, length, expects and length != NO_BODY)


def read_head(
    status: int, version: str, headers: list[tuple[bytes, bytes]], *, method: str, rewriter: Rewriter
) -> ResponseHead:
    """Judge a final response's head. Names are in lower case already.

    Raises `UpstreamFailure` (502) when the end of the body is not beyond doubt (RFC 9112 section 6.3).
    """
    if status > 599 or version not in ("1.1", "1.0"):
        raise invalid("status line")
    length: int | None = None
    chunked = False
    connection: list[bytes] = []
    idle: float | None = None
    kept = []
    for item in headers:
        name, value = item
        if name not in RESPONSE_SPECIAL:
            kept.append(item)
        elif name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > 18:
                raise invalid("Content-Length")
            length = int(value)
            if status not in (204, 304):
                kept.append(item)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked" or version == "1.0":
                raise invalid("Transfer-Encoding")
            chunked = True
        elif name == b"connection":
            connection += [token.strip(b" \t").lower() for token in value.split(b",")]
        elif name == b"keep-alive":
            idle = idle_hint(value)
        elif name in REWRITTEN:
            kept.append((name, rewriter.value(name, value)))
    if chunked and length is not None:
        raise invalid("Content-Length and Transfer-Encoding")
    keep_alive = (version == "1.1" or b"keep-alive" in connection) and b"close" not in connection
    if connection and connection != [b"keep-alive"]:
        listed = set(connection) - _END_TO_END
        kept = [item for item in kept if item[0] not in listed]
    if status in (204, 304) or method == "HEAD":
        # A body announced where none may follow: whatever comes next would be taken for another answer.
        return ResponseHead(status, kept, NO_BODY, keep_alive and not (chunked and status == 204), idle)
    if length is None:
        length = CHUNKED if chunked else UNTIL_EOF
    return ResponseHead(status, kept, length, keep_alive and length != UNTIL_EOF, idle)


def _is_token(text: bytes) -> bool:
    return text != b"" and not text.translate(None, _TOKEN)


def _valid_name(name: bytes) -> bytes:
    """In lower case. Raises `RequestRejected` when it is no token."""
    if not _is_token(name):
        raise RequestRejected(400, "unsafe_head")
    lower = name.lower()
    if len(_valid_names) >= _VALID_NAMES_MAX:
        _valid_names.clear()
    _valid_names.add(lower)
    return lower


def invalid(what: str) -> UpstreamFailure:
    """The application's answer breaks HTTP."""
    return UpstreamFailure(502, "upstream_invalid", f"invalid response: {what}")


def translated(error: Exception) -> UpstreamFailure:
    """What a parser's error means; the parser wraps what one of its callbacks raised."""
    cause = error if isinstance(error, UpstreamFailure) else error.__context__
    return cause if isinstance(cause, UpstreamFailure) else invalid(str(error))


def idle_hint(value: bytes) -> float | None:
    found = _KEEP_ALIVE_TIMEOUT.search(value)
    return float(found[1]) if found else None
