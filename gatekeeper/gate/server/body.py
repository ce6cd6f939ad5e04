"""Where a request's body ends: by Content-Length or by chunks. Bytes in, payload out. No I/O.

Chunk extensions and trailers are checked, bounded and dropped: nobody behind us can take a trailer for a
header (RFC 9112 sections 7.1.1 and 7.1.2).
"""

from __future__ import annotations

import re
from typing import Protocol

from gatekeeper.core.errors import RequestRejected
from gatekeeper.gate.server import fields
from gatekeeper.gate.server.config import ServerLimits

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t -~\x80-\xff]*)?")
_SIZE_LINE_BEGUN = re.compile(rb"[0-9A-Fa-f]{0,16}(?:(?<=[0-9A-Fa-f])(?:;[\t -~\x80-\xff]*)?\r?)?")
_TEXT_BEGUN = re.compile(rb"[\t -~\x80-\xff]*\r?")
_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class Body(Protocol):
    """A body being received. After `done`, `rest` holds the bytes that belong to the next request."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`. Raises `RequestRejected` (400, 413, 431)."""


class FixedBody:
    """A body of a known number of bytes."""

    __slots__ = ("done", "remaining", "rest")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            return data
        if size > self.remaining:
            self.rest = data[self.remaining :]
            data = data[: self.remaining]
        self.remaining = 0
        self.done = True
        return data


class ChunkedBody:
    """A body in chunks."""

    __slots__ = ("_carry", "_left", "_limits", "_overhead", "_state", "done", "received", "rest")

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._left = 0
        self._carry = b""
        self._overhead = 0
        """Bytes of extensions, then of trailers."""
        self.received = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if self._carry:
            data, self._carry = self._carry + data, b""
        payload: list[bytes] = []
        at, size = 0, len(data)
        while at < size and self._state != _DONE:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                payload.append(piece)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                if data[at : at + 2] != b"\r\n":
                    if data[at:] != b"\r":
                        raise RequestRejected(400, "chunk_end")
                    break
                at += 2
                self._state = _SIZE
            else:
                stop = at + self._line_limit() + 2
                end = data.find(b"\r\n", at, stop)
                if end < 0:
                    self._check_begun(data, at, stop)
                    break
                line = data[at:end]
                at = end + 2
                if self._state == _SIZE:
                    self._read_size(line)
                else:
                    self._read_trailer(line)
        if self._state == _DONE:
            self.done = True
            self.rest = data[at:]
        elif at < size:
            self._carry = data[at:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _read_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RequestRejected(400, "chunk_size")
        if match[2] is not None:
            self._add_overhead(len(match[2]))
        self._left = int(match[1], 16)
        self.received += self._left
        if self.received > self._limits.body:
            raise RequestRejected(413, "body_too_large")
        if self._left:
            self._state = _DATA
        else:
            self._state = _TRAILER
            self._overhead = 0

    def _read_trailer(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        name, colon, _ = line.partition(b":")
        if not colon or _TEXT_BEGUN.fullmatch(line) is None or line.endswith(b"\r"):
            raise RequestRejected(400, "trailer")
        fields.lower_name(name)
        self._add_overhead(len(line) + 2)

    def _add_overhead(self, size: int) -> None:
        self._overhead += size
        if self._overhead > self._limits.trailers:
            raise RequestRejected(431, "trailers_too_large" if self._state == _TRAILER else "chunk_extension")

    def _line_limit(self) -> int:
        """How long this line may be: what is left of the overhead, and 16 digits before an extension."""
        return self._limits.trailers - self._overhead + (16 if self._state == _SIZE else 0)

    def _check_begun(self, data: bytes, at: int, stop: int) -> None:
        """Refuse a line that cannot become valid any more, before it is complete."""
        sizing = self._state == _SIZE
        begun = _SIZE_LINE_BEGUN if sizing else _TEXT_BEGUN
        if begun.fullmatch(data, at, stop) is None:
            raise RequestRejected(400, "chunk_size" if sizing else "trailer")
        if len(data) >= stop:
            raise RequestRejected(431, "chunk_extension" if sizing else "trailers_too_large")
