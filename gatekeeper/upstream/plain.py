"""A plain answer's head, read without a parser's callbacks: most answers are plain.

Plain is a final HTTP/1.1 status, fields that leave no doubt, and a length. Whatever is not plain in any
respect is left to llhttp, which reads it from its first byte; so being stricter here refuses nothing, and
being laxer is the only mistake to make.
"""

from __future__ import annotations

import re

from gatekeeper.upstream.framing import NO_BODY, RESPONSE_SPECIAL, ResponseHead, idle_hint
from gatekeeper.upstream.rewrite import REWRITTEN, Rewriter

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\t -~\x80-\xff]*+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_TEXT = bytes([9, *range(32, 127), *range(128, 256)])

_REPEATED = frozenset(
    b"accept-ranges access-control-allow-credentials access-control-allow-headers "
    b"access-control-allow-methods access-control-allow-origin age allow cache-control content-encoding "
    b"content-language content-security-policy content-type cross-origin-opener-policy "
    b"cross-origin-resource-policy date etag expires last-modified permissions-policy pragma referrer-policy "
    b"server strict-transport-security vary via x-content-type-options x-frame-options x-powered-by "
    b"x-xss-protection".split()
)
"""Fields whose lines an application repeats; none of them can hold a secret or means anything to us."""

_MOST = 1024
_LINE_MAX = 512
_met_before: dict[bytes, tuple[bytes, bytes]] = {}
_names: dict[bytes, bytes] = {}
"""Valid names met so far, by spelling, in lower case."""


def read_plain(block: bytes, *, method: str, rewriter: Rewriter) -> ResponseHead | None:
    """Judge a head without its final empty line; None: it is not plain. RFC 9112 sections 4 to 6."""
    lines = block.split(b"\r\n")
    first = _STATUS_LINE.fullmatch(lines[0])
    if first is None:
        return None
    del lines[0]
    length: int | None = None
    keep_alive = True
    idle: float | None = None
    kept = []
    known = _met_before.get
    for line in lines:
        field = known(line)
        if field is None:
            field = _read_line(line)
            if field is None:
                return None
            name, value = field
            if name == b"content-length":
                if length is not None or not value.isdigit() or len(value) > 18:
                    return None
                length = int(value)
            elif name in RESPONSE_SPECIAL:
                if name == b"connection":
                    if value.lower() == b"close":
                        keep_alive = False
                    elif value.lower() != b"keep-alive":
                        return None
                    continue
                if name == b"keep-alive":
                    idle = idle_hint(value)
                    continue
                if name not in REWRITTEN:
                    return None
                field = (name, rewriter.value(name, value))
        kept.append(field)
    status = int(first[1])
    if status == 204 or status == 304:
        return None
    if method == "HEAD":
        length = NO_BODY
    elif length is None:
        return None
    return ResponseHead(status, kept, length, keep_alive, idle)


def _read_line(line: bytes) -> tuple[bytes, bytes] | None:
    spelled, colon, value = line.partition(b":")
    if not colon or value.translate(None, _TEXT):
        return None
    name = _names.get(spelled)
    if name is None:
        if _NAME.fullmatch(spelled) is None:
            return None
        name = spelled.lower()
        if len(_names) >= _MOST:
            _names.clear()
        _names[spelled] = name
    value = value.lstrip(b" \t")
    if value.endswith((b" ", b"\t")):
        return None
    field = (name, value)
    if name in _REPEATED and len(line) <= _LINE_MAX:
        if len(_met_before) >= _MOST:
            _met_before.clear()
        _met_before[line] = field
    return field
