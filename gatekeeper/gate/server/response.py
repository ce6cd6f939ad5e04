"""Response heads, written strictly: what the application sends cannot end the head or lie about the body."""

from __future__ import annotations

import http
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gatekeeper.gate.server.fields import TEXT, TOKEN


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


STATUS_LINES = {status: f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() for status in range(200, 600)}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_PLAIN, _LENGTH, _DROPPED, _CONNECTION, _DATE = range(5)
_KINDS: dict[bytes, int] = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _DROPPED,
    b"keep-alive": _DROPPED,
    b"upgrade": _DROPPED,
    b"connection": _CONNECTION,
    b"date": _DATE,
}
_known_names: dict[bytes, int] = {}
_KNOWN_NAMES_MAX = 1024


class InvalidResponse(RuntimeError):
    """The application sent something that is no HTTP response; its exchange ends with 500 or cut off."""


class ResponseHead(NamedTuple):
    """A response head ready to be written, and what it promises."""

    data: bytes
    length: int | None
    """Body bytes promised by Content-Length; 0 when there is no body by rule."""
    chunked: bool
    close: bool
    """The connection ends with this response."""
    bodiless: bool
    """HEAD, 204, 304: whatever body comes is not written."""


def _kind(name: bytes) -> int:
    kind = _known_names.get(name)
    if kind is None:
        if TOKEN.fullmatch(name) is None:
            raise InvalidResponse(f"invalid header name {name!r}")
        kind = _KINDS.get(name.lower(), _PLAIN)
        if len(_known_names) < _KNOWN_NAMES_MAX:
            _known_names[name] = kind
    return kind


def build_head(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    method: str,
    minor: int,
    close: bool,
    defaults: Iterable[tuple[bytes, bytes]],
) -> ResponseHead:
    """Frame a response (RFC 9112 section 6). Raises `InvalidResponse`.

    Transfer-Encoding, Keep-Alive, Upgrade and Connection options other than `close` are ours to write, so
    the application's are dropped. `defaults` (Date and what uvicorn is configured to add) give way to the
    application's own Date.
    """
    line = STATUS_LINES.get(status)
    if line is None:
        raise InvalidResponse(f"invalid final status {status!r}")
    parts: list[bytes] = []
    length: int | None = None
    dated = False
    known = _known_names.get
    for name, value in headers:
        kind = known(name)
        if kind is None:
            kind = _kind(name)
        if kind:
            if kind == _LENGTH:
                if length is not None or len(value) > 18 or not value.isdigit():
                    raise InvalidResponse("invalid or repeated Content-Length")
                length = int(value)
                continue
            if kind == _DROPPED:
                continue
            if kind == _CONNECTION:
                close = close or b"close" in [option.strip() for option in value.lower().split(b",")]
                continue
            dated = True
        parts += (name, b": ", value, b"\r\n")
    fields = b"".join(parts)
    if len(fields.translate(None, TEXT)) * 2 != len(parts) or fields.count(b"\r\n") * 4 != len(parts):
        raise InvalidResponse("control character in a header")
    for name, value in defaults:
        if not (dated and name == b"date"):
            fields += b"%b: %b\r\n" % (name, value)
    bodiless = method == "HEAD" or status == 204 or status == 304
    chunked = False
    if length is not None:
        if status != 204:
            fields += b"content-length: %d\r\n" % length
    elif not bodiless:
        if minor:
            chunked = True
            fields += b"transfer-encoding: chunked\r\n"
        else:
            close = True
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return ResponseHead(line + fields + end, 0 if bodiless else length, chunked, close, bodiless)


@lru_cache(2048)
def _begin(lines: bytes) -> bytes:
    ends = lines.count(b"\r\n")
    if len(lines.translate(None, TEXT)) != 2 * ends or not lines.endswith(b"\r\n") or b"\n\r" in lines:
        raise InvalidResponse("control character in a header")
    return STATUS_LINES[200] + lines


@lru_cache(4)
def _end(defaults: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in defaults) + b"\r\n"


def empty_answer(lines: bytes, defaults: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole 200 without a body. `lines` say so (Content-Length) and nothing about the connection.

    Raises `InvalidResponse`. The same lines come again and again, so they are judged once.
    """
    return _begin(lines) + _end(tuple(defaults))


def refusal(status: int, reason: str, defaults: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole small answer that ends the connection."""
    body = b"%d %b: %b\n" % (status, _phrase(status).encode(), reason.encode())
    extra = {
        426: b"upgrade: websocket\r\nsec-websocket-version: 13\r\n",
        429: b"retry-after: 5\r\n",
        503: b"retry-after: 5\r\n",
    }.get(status, b"")
    connection = b"upgrade, close" if status == 426 else b"close"
    return b"".join(
        (
            STATUS_LINES[status],
            *(b"%b: %b\r\n" % field for field in defaults),
            b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body),
            extra,
            b"cache-control: no-store\r\nconnection: %b\r\n\r\n" % connection,
            body,
        )
    )
