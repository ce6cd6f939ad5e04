"""What must reach the application for what a client sent: an independent, naive reading of valid requests.

The gate takes names out of a list; here a header passes only when its name is in a list. The two can only
agree when the gate's list is complete.
"""

from __future__ import annotations

import re

from tests.server.cases import HOST
from tests.wall.recording import Arrived

PASSING = frozenset((b"x", b"content-length", b"expect", b"accept", b"cookie"))
"""The names in the tables that an application may get from a client (Host and the coding apart)."""

REQUEST_ID = re.compile(rb"\r\nx-request-id: [0-9a-f]{16}\r\n")
ASSERTION = re.compile(rb"\r\nx-gatekeeper-assertion: eyJ[\w-]+\.eyJ[\w-]+\.[\w-]{86}\r\n")
PROXY_LINES = (
    b"x-forwarded-for: 127.0.0.1",
    b"x-forwarded-proto: http",
    b"x-forwarded-host: " + HOST,
    b'forwarded: for=127.0.0.1;host="' + HOST + b'";proto=http',
    b"x-request-id: ID",
)


def expected(
    sent: bytes, count: int, identity: tuple[bytes, ...] = (), cookie: bytes | None = None
) -> list[tuple[bytes, bytes]]:
    """(head, body) of the first `count` requests in `sent`, which are valid and reach the application.

    `identity` lines follow the client's; `cookie` is what is left of a Cookie header, None for nothing.
    """
    found: list[tuple[bytes, bytes]] = []
    while len(found) < count:
        sent = sent.removeprefix(b"\r\n")
        head, _, rest = sent.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, target, version = line.split(b" ")
        pairs = [
            (name.lower(), value.strip(b" \t")) for name, _, value in (f.partition(b":") for f in fields)
        ]
        values = dict(pairs)
        chunked = b"transfer-encoding" in values
        if chunked:
            body, sent = _unchunk(rest)
        else:
            length = int(values.get(b"content-length", b"0"))
            body, sent = rest[:length], rest[length:]
        kept = []
        for name, value in pairs:
            if name not in PASSING or (name == b"expect" and version == b"HTTP/1.0"):
                continue
            if name == b"cookie":
                if cookie is not None:
                    kept.append(b"cookie: " + cookie)
            else:
                kept.append(name + b": " + value)
        lines = [
            b"%b %b HTTP/1.1" % (method, _origin_form(target)),
            b"host: " + values[b"host"],
            *kept,
            *identity,
            *PROXY_LINES,
            *([b"transfer-encoding: chunked"] if chunked else []),
        ]
        found.append((b"\r\n".join(lines) + b"\r\n\r\n", body))
    return found


def comparable(arrived: Arrived) -> tuple[bytes, bytes]:
    """(head, body) with what is new each time taken out: the request id, the assertion's signature."""
    head = REQUEST_ID.sub(b"\r\nx-request-id: ID\r\n", arrived.head)
    return ASSERTION.sub(b"\r\nx-gatekeeper-assertion: SIGNED\r\n", head), arrived.body


def _origin_form(target: bytes) -> bytes:
    found = re.fullmatch(rb"(?i)https?://[^/?]*(.*)", target)
    if found is None:
        return target
    return found[1] if found[1].startswith(b"/") else b"/" + found[1]


def _unchunk(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        body, data = body + data[:size], data[size + 2 :]
    while True:  # trailers, dropped
        line, _, data = data.partition(b"\r\n")
        if not line:
            return body, data
