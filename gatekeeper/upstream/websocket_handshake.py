"""The opening hand-shake with the application: what is asked, and what counts as an agreement.

RFC 6455 sections 4.1, 4.2 and 9.1, RFC 7692 section 5. No I/O here but bytes in and out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import httptools

from gatekeeper.core.errors import RequestRejected
from gatekeeper.upstream.framing import invalid, read_head, write_head
from gatekeeper.upstream.rewrite import Rewriter

Headers = list[tuple[bytes, bytes]]

HEAD_MAX = 65_536
"""Bytes of the application's answer up to its blank line, interim answers included."""
REFUSAL_BODY_MAX = 65_536
"""Bytes of a refusal's body that the client gets; the rest is cut off."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COMPRESSION = b"permessage-deflate"
_NOT_FORWARDED = frozenset(
    (
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
        b"sec-websocket-accept",
    )
)


class Offer(NamedTuple):
    """What a client asks for."""

    key: bytes
    protocols: tuple[bytes, ...] = ()
    extensions: bytes = b""
    """permessage-deflate offers only: another extension could change what a frame is, and the relay must
    know where frames end."""


class Agreed(NamedTuple):
    """The application's 101, verified."""

    headers: Headers
    """End-to-end headers, without the Sec-WebSocket ones."""
    protocol: bytes | None
    extensions: bytes
    early: bytes
    """WebSocket bytes that came together with the head."""


class Refused(NamedTuple):
    """Any other final answer of the application."""

    status: int
    headers: Headers
    body: bytes


def client_offer(headers: Iterable[tuple[bytes, bytes]]) -> Offer:
    """Read a client's own hand-shake. RFC 6455 section 4.2.1.

    Raises `RequestRejected`: 400, or 426 for another version than 13 (section 4.4).
    """
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name.startswith(b"sec-websocket-"):
            found.setdefault(name, []).append(value)
    if found.get(b"sec-websocket-version") != [b"13"]:
        raise RequestRejected(426, "websocket_version")
    keys = found.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise RequestRejected(400, "websocket_key")
    protocols = _tokens(found.get(b"sec-websocket-protocol", []))
    if protocols is None:
        raise RequestRejected(400, "websocket_protocol")
    return Offer(keys[0], protocols, _compression_only(found.get(b"sec-websocket-extensions", [])))


def new_offer(randomness: bytes, protocols: Iterable[str]) -> Offer:
    """A hand-shake of our own, without compression; `randomness` are 16 bytes never used before.

    Raises `RequestRejected` (400) when a protocol's name is not one.
    """
    names = tuple(protocol.encode("latin-1", "replace") for protocol in protocols)
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise RequestRejected(400, "websocket_protocol")
    return Offer(base64.b64encode(randomness), names)


def request_bytes(
    target: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    offer: Offer,
    *,
    host: bytes | None,
    fallback_host: bytes,
) -> bytes:
    """The whole request; `host` None keeps the client's own Host. Raises `RequestRejected` (400)."""
    sent = [pair for pair in headers if pair[0] not in _NOT_FORWARDED]
    sent.append((b"sec-websocket-version", b"13"))
    sent.append((b"sec-websocket-key", offer.key))
    if offer.protocols:
        sent.append((b"sec-websocket-protocol", b", ".join(offer.protocols)))
    if offer.extensions:
        sent.append((b"sec-websocket-extensions", offer.extensions))
    head = write_head("GET", target, sent, host=host, fallback_host=fallback_host, version="1.1")
    return head.data + b"upgrade: websocket\r\nconnection: Upgrade\r\n\r\n"


def accept_bytes(agreed: Agreed, offer: Offer, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The 101 for a client that made `offer`, with `headers` besides."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Accept: %b\r\n" % _accept_value(offer.key),
    ]
    if agreed.protocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: %b\r\n" % agreed.protocol)
    if agreed.extensions:
        lines.append(b"Sec-WebSocket-Extensions: %b\r\n" % agreed.extensions)
    lines += (b"%b: %b\r\n" % pair for pair in headers)
    lines.append(b"\r\n")
    return b"".join(lines)


class AnswerReader:
    """Reads the application's answer to one hand-shake. Errors are `UpstreamFailure` (502)."""

    def __init__(self, offer: Offer, rewriter: Rewriter) -> None:
        self._offer = offer
        self._rewriter = rewriter
        self._parser = httptools.HttpResponseParser(self)
        self._seen = 0
        self._headers: Headers = []
        self._body = b""
        self._status = 0
        self._in_body = False
        self._finished = False

    def feed(self, data: bytes) -> Agreed | Refused | None:
        """Take received bytes; the answer as soon as it is there. Feed nothing after that."""
        early = b""
        if not self._in_body:
            self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            early = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self._finished:  # after the end of a refusal, anything may follow: it is not read
                raise invalid(f"hand-shake: {error}") from error
        if self._status == 101:
            return self._agreement(early)
        if not self._in_body and self._seen > HEAD_MAX:
            raise invalid("hand-shake: head too large")
        if self._finished or len(self._body) >= REFUSAL_BODY_MAX:
            return self._refusal()
        return None

    def end(self) -> Refused:
        """The application closed its side; raises when no answer was complete."""
        if not self._in_body:
            raise invalid("closed during the hand-shake")
        return self._refusal()

    # what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # else a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._headers.clear()
            return
        self._status = status
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        if len(self._body) < REFUSAL_BODY_MAX:
            self._body = (self._body + body)[:REFUSAL_BODY_MAX]

    def on_message_complete(self) -> None:
        if self._in_body:
            self._finished = True

    # verdicts

    def _agreement(self, early: bytes) -> Agreed:
        values: dict[bytes, list[bytes]] = {}
        for name, value in self._headers:
            values.setdefault(name, []).append(value)
        if [value.lower() for value in values.get(b"upgrade", [])] != [b"websocket"]:
            raise invalid("hand-shake: Upgrade")
        if b"upgrade" not in (token.lower() for token in _split(values.get(b"connection", []))):
            raise invalid("hand-shake: Connection")
        if values.get(b"sec-websocket-accept") != [_accept_value(self._offer.key)]:
            raise invalid("hand-shake: Sec-WebSocket-Accept")
        chosen = values.get(b"sec-websocket-protocol", [])
        if len(chosen) > 1 or any(protocol not in self._offer.protocols for protocol in chosen):
            raise invalid("hand-shake: Sec-WebSocket-Protocol")
        extensions = b", ".join(values.get(b"sec-websocket-extensions", []))
        if extensions and not (self._offer.extensions and _is_compression(extensions)):
            raise invalid("hand-shake: Sec-WebSocket-Extensions")
        others = [pair for pair in self._headers if pair[0] not in _NOT_FORWARDED]
        version = self._parser.get_http_version()
        if version != "1.1":
            raise invalid("hand-shake: version")
        head = read_head(101, version, others, method="GET", rewriter=self._rewriter)
        return Agreed(head.headers, chosen[0] if chosen else None, extensions, early)

    def _refusal(self) -> Refused:
        version = self._parser.get_http_version()
        head = read_head(self._status, version, self._headers, method="GET", rewriter=self._rewriter)
        kept = [pair for pair in head.headers if pair[0] != b"content-length"]
        if self._status not in (204, 304):
            kept.append((b"content-length", b"%d" % len(self._body)))
        return Refused(self._status, kept, self._body)


def _accept_value(key: bytes) -> bytes:
    """RFC 6455 section 4.2.2 step 5.4."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(value: bytes) -> bool:
    try:
        return len(value) == 24 and len(base64.b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False


def _split(values: Iterable[bytes]) -> list[bytes]:
    """The elements of a list header. RFC 9110 section 5.6.1."""
    return [item for value in values for part in value.split(b",") if (item := part.strip(b" \t"))]


def _tokens(values: Iterable[bytes]) -> tuple[bytes, ...] | None:
    tokens = tuple(_split(values))
    return tokens if all(_TOKEN.fullmatch(token) for token in tokens) else None


def _compression_only(values: Iterable[bytes]) -> bytes:
    """The offers of permessage-deflate, in their order and as they were written."""
    return b", ".join(item for item in _split(values) if _is_compression(item))


def _is_compression(item: bytes) -> bool:
    """Whether this is one permessage-deflate element; its parameters have no comma (RFC 7692 section 7)."""
    return b"," not in item and item.split(b";", 1)[0].strip(b" \t").lower() == _COMPRESSION
