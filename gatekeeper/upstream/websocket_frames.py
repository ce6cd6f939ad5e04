"""Where WebSocket frames begin and end, watched without looking at what they carry.

RFC 6455 section 5. The tracker reads headers only: payload passes as it came, masked and perhaps
compressed (RFC 7692), so that text is judged by the application exactly as without a relay.
"""

from __future__ import annotations

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011

_CONTINUATION = 0x0
_CLOSE = 0x8
_FIN = 0x80
_RSV1 = 0x40
_RSV2_RSV3 = 0x30
_MASKED = 0x80
_HIGHEST_LENGTH = (1 << 63) - 1


def close_frame(code: int, reason: str = "", *, mask: bytes = b"") -> bytes:
    """A Close frame; `mask` is four random bytes for the direction client to server, else empty.

    RFC 6455 sections 5.5.1 and 5.3.
    """
    payload = code.to_bytes(2, "big") + reason.encode()
    if len(payload) > 125:
        raise ValueError("a close reason is at most 123 bytes")
    if not mask:
        return bytes((_FIN | _CLOSE, len(payload))) + payload
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((_FIN | _CLOSE, _MASKED | len(payload))) + mask + masked


class FrameTracker:
    """One direction of a WebSocket connection.

    `feed` takes bytes as they come from the socket and returns those that may be passed on: the same
    object in the ordinary case. What it passes on always ends inside or after a frame that it approved,
    never inside a frame header, so that at `at_boundary` a frame of ours can follow.

    - `error` is 0 or the close code to end the connection with; nothing passes any more.
    - `closed` is set once a Close frame was seen; whatever follows it is dropped (section 5.5.1).
    - `active` is set when bytes of data frames came (not of control frames); the owner sets it back.
    - `quiet()` lets the frame under way pass to its end and nothing after it, while watching goes on.
    """

    __slots__ = (
        "_data",
        "_fragmented",
        "_held",
        "_left",
        "_masked",
        "_message_max",
        "_message_size",
        "_passing",
        "_quiet",
        "_rsv1",
        "active",
        "closed",
        "error",
    )

    def __init__(self, *, masked: bool, compressed: bool, message_max: int) -> None:
        """`masked`: frames come from a client; `compressed`: permessage-deflate was agreed on;
        `message_max`: bytes that a message may declare in all its frames, as sent (compressed or not).
        """
        self._masked = masked
        self._rsv1 = compressed
        self._message_max = message_max
        self._held = b""
        self._left = 0
        self._data = False
        self._passing = True
        self._quiet = False
        self._fragmented = False
        self._message_size = 0
        self.active = False
        self.closed = False
        self.error = 0

    @property
    def at_boundary(self) -> bool:
        """Whether what was passed on so far ends with a whole frame."""
        return self._left == 0 or not self._passing

    def quiet(self) -> None:
        """Pass nothing on after the frame under way."""
        self._quiet = True
        if self._left == 0:
            self._passing = False

    def feed(self, data: bytes) -> bytes:
        """Take received bytes; return those to pass on."""
        if self.error:
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        position = self._left
        if position:
            self.active = self.active or self._data
            if position > size:
                self._left = position - size
                return data if self._passing else b""
        passing = self._passing
        end = position if passing else 0
        while position < size and not self.closed:
            if self._quiet:
                self._passing = passing = False
            after = self._header(data, position, size)
            if after < 0:
                break
            position = after
            if passing:
                end = position
        self._left = max(0, position - size)
        return data if end >= size else data[:end]

    def _header(self, data: bytes, start: int, size: int) -> int:
        """Read the header at `start`: where its frame ends, or -1 when it is wrong or not whole yet."""
        if size - start < 2:
            self._held = data[start:]
            return -1
        first = data[start]
        second = data[start + 1]
        if error := self._malformed(first, second):
            self.error = error
            return -1
        length = second & 0x7F
        after = start + 2
        if length == 126:
            after += 2
            length = int.from_bytes(data[start + 2 : after], "big")
        elif length == 127:
            after += 8
            length = int.from_bytes(data[start + 2 : after], "big")
        if self._masked:
            after += 4
        if after > size:
            self._held = data[start:]
            return -1
        if first & 0x08:
            self._data = False
            if first & 0x0F == _CLOSE:
                self.closed = True
        elif not self._declare(first, length):
            return -1
        return after + length

    def _malformed(self, first: int, second: int) -> int:
        """The close code for what the first two bytes of a header break, or 0. Sections 5.1 to 5.5."""
        opcode = first & 0x0F
        if first & _RSV2_RSV3 or bool(second & _MASKED) is not self._masked:
            return PROTOCOL_ERROR
        if opcode & 0x08:
            if opcode > 0xA or first & _RSV1 or not first & _FIN or second & 0x7F > 125:
                return PROTOCOL_ERROR
            return 0
        if opcode > 0x2 or (opcode == _CONTINUATION) is not self._fragmented:
            return PROTOCOL_ERROR
        if first & _RSV1 and (not self._rsv1 or opcode == _CONTINUATION):
            return PROTOCOL_ERROR
        return 0

    def _declare(self, first: int, length: int) -> bool:
        """Count a data frame of `length` bytes; False when it or its message is too long."""
        if length > _HIGHEST_LENGTH:
            self.error = PROTOCOL_ERROR
            return False
        total = self._message_size + length
        if total > self._message_max:
            self.error = MESSAGE_TOO_BIG
            return False
        final = bool(first & _FIN)
        self._fragmented = not final
        self._message_size = 0 if final else total
        self._data = True
        self.active = True
        return True
