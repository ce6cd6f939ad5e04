"""What clients do to WebSocket servers, in the order and spirit of the Autobahn test suite's case numbers."""

from __future__ import annotations

from typing import NamedTuple

from websockets.frames import Opcode

from tests.websocket.support import MESSAGE_MAX, closing, masked, unmasked

TEXT, BINARY, CONT, PING, PONG = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG


class Case(NamedTuple):
    """`sent` in one write, or in writes of `chop` bytes; `last` once `replies` frames have come back."""

    name: str
    sent: bytes
    chop: int = 0
    replies: int = 0
    last: bytes = b""


def _whole(name: str, sent: bytes, replies: int = 1, *, chop: int = 0) -> Case:
    """A case that breaks no rule: everything is answered before the client closes."""
    return Case(name, sent, chop, replies, closing())


def _sizes() -> list[Case]:
    cases = []
    for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536):
        cases.append(_whole(f"1.1 text of {size}", masked(TEXT, b"*" * size)))
        cases.append(_whole(f"1.2 binary of {size}", masked(BINARY, b"\xfe" * size)))
    cases.append(_whole("1.1 text of 65536 in chops", masked(TEXT, b"*" * 65_536), chop=997))
    cases.append(_whole("1.1 text of 130 by octets", masked(TEXT, b"*" * 130), chop=1))
    return cases


PINGS = [
    _whole("2.1 ping without payload", masked(PING)),
    _whole("2.2 ping with text", masked(PING, b"Hello, world!")),
    _whole("2.3 ping with binary", masked(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")),
    _whole("2.4 ping of 125", masked(PING, b"\xfe" * 125)),
    Case("2.5 ping of 126", masked(PING, b"\xfe" * 126) + closing()),
    _whole("2.6 ping of 125 by octets", masked(PING, b"\xfe" * 125), chop=1),
    _whole("2.7 unsolicited pong", masked(PONG), 0),
    _whole("2.8 unsolicited pong with payload", masked(PONG, b"unsolicited"), 0),
    _whole("2.9 unsolicited pong, then ping", masked(PONG, b"no") + masked(PING, b"yes")),
    _whole("2.10 ten pings", b"".join(masked(PING, b"%d" % n) for n in range(10)), 10),
    _whole("2.11 ten pings by octets", b"".join(masked(PING, b"%d" % n) for n in range(10)), 10, chop=1),
]

RESERVED = [
    *(
        Case(f"3 text with reserved bits {rsv}", masked(TEXT, b"x", rsv=rsv) + closing())
        for rsv in range(1, 8)
    ),
    Case("3 ping with reserved bit", masked(PING, b"x", rsv=4) + closing()),
    Case("3 close with reserved bit", masked(Opcode.CLOSE, b"\x03\xe8", rsv=4)),
    *(
        Case(f"4 opcode {code}", masked(code, b"x") + closing())
        for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    *(Case(f"4 opcode {code}, empty, by octets", masked(code) + closing(), 1) for code in (3, 7, 11, 15)),
]

FRAGMENTS = [
    Case("5.1 fragmented ping", masked(PING, b"a", fin=False) + masked(CONT, b"b")),
    Case("5.2 fragmented pong", masked(PONG, b"a", fin=False) + masked(CONT, b"b")),
    _whole("5.3 text in two", masked(TEXT, b"frag1", fin=False) + masked(CONT, b"frag2")),
    _whole("5.5 the same by octets", masked(TEXT, b"frag1", fin=False) + masked(CONT, b"frag2"), chop=1),
    _whole(
        "5.6 text in two, a ping between",
        masked(TEXT, b"frag1", fin=False) + masked(PING, b"ping") + masked(CONT, b"frag2"),
        2,
    ),
    _whole(
        "5.8 the same by octets",
        masked(TEXT, b"frag1", fin=False) + masked(PING, b"ping") + masked(CONT, b"frag2"),
        2,
        chop=1,
    ),
    Case("5.9 continuation of nothing, final", masked(CONT, b"x") + closing()),
    Case("5.12 continuation of nothing, not final", masked(CONT, b"x", fin=False) + closing()),
    Case("5.15 continuation after a whole message", masked(TEXT, b"a") + masked(CONT, b"x")),
    Case("5.18 a second text inside a fragmented one", masked(TEXT, b"a", fin=False) + masked(TEXT, b"b")),
    _whole(
        "5.19 five fragments with pings",
        masked(TEXT, b"1", fin=False)
        + masked(CONT, b"2", fin=False)
        + masked(PING, b"p1")
        + masked(CONT, b"3", fin=False)
        + masked(CONT, b"4", fin=False)
        + masked(PING, b"p2")
        + masked(CONT, b"5"),
        3,
    ),
    _whole(
        "5.20 empty fragments",
        masked(BINARY, b"", fin=False) + masked(CONT, b"", fin=False) + masked(CONT, b""),
        1,
    ),
    Case("5.21 unmasked text", unmasked(TEXT, b"hello")),
    Case("5.22 unmasked close", unmasked(Opcode.CLOSE, b"\x03\xe8")),
]

_KOSME = "κόσμε".encode()
UTF8 = [
    _whole("6.1 three empty text frames", masked(TEXT) * 3, 3),
    _whole("6.2 valid", masked(TEXT, _KOSME + "𝄞€".encode())),
    _whole(
        "6.2 valid, cut inside a character", masked(TEXT, _KOSME[:3], fin=False) + masked(CONT, _KOSME[3:]), 1
    ),
    Case("6.3 surrogate", masked(TEXT, _KOSME + b"\xed\xa0\x80edited")),
    Case("6.4 too large", masked(TEXT, b"\xf4\x90\x80\x80", fin=False) + masked(CONT, b"x")),
    Case("6.6 truncated", masked(TEXT, b"\xce\xba\xe1")),
    Case("6.12 overlong", masked(TEXT, b"\xc0\xaf")),
    Case("6.20 ff", masked(TEXT, b"\xff")),
    _whole("6.21 invalid in a binary message is fine", masked(BINARY, b"\xff\xc0")),
]

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
CLOSES = [
    _whole("7.1.1 message, then close", masked(TEXT, b"Hello World!")),
    Case("7.1.2 two closes", closing() * 2),
    Case("7.1.3 ping after close", closing() + masked(PING, b"late")),
    Case("7.1.4 text after close", closing() + masked(TEXT, b"late")),
    Case(
        "7.1.5 close inside a fragmented message",
        masked(TEXT, b"a", fin=False) + closing() + masked(CONT, b"b"),
    ),
    Case("7.1.6 256k, close, ping", masked(TEXT, b"*" * 262_144) + closing() + masked(PING)),
    Case("7.3.1 without payload", closing(None)),
    Case("7.3.2 one byte of payload", masked(Opcode.CLOSE, b"\x03")),
    Case("7.3.3 code alone", closing(1000)),
    Case("7.3.4 code and reason", closing(1000, b"Hello World!")),
    Case("7.3.5 longest reason", closing(1000, b"*" * 123)),
    Case("7.3.6 reason too long", closing(1000, b"*" * 124)),
    Case("7.5.1 reason of invalid UTF-8", closing(1000, _KOSME + b"\xed\xa0\x80edited")),
    Case("7.6 close by octets", closing(1000, b"bye"), 1),
    *(Case(f"7.7 code {code}", closing(code)) for code in VALID_CODES),
    *(Case(f"7.9 code {code}", closing(code)) for code in INVALID_CODES),
]


def _pieces(opcode: Opcode, payload: bytes, size: int) -> bytes:
    frames = []
    for start in range(0, len(payload), size):
        last = start + size >= len(payload)
        frames.append(masked(CONT if start else opcode, payload[start : start + size], fin=last))
    return b"".join(frames)


_MEGABYTE = bytes(range(32, 96)) * 16_384
LARGE = [
    _whole("9.1 text of 1 MB", masked(TEXT, _MEGABYTE)),
    _whole("9.2 binary of 4 MB", masked(BINARY, _MEGABYTE * 4)),
    _whole("9.3 text of 1 MB in fragments of 4 KB", _pieces(TEXT, _MEGABYTE, 4096)),
    _whole("9.4 binary of 4 MB in fragments of 64 KB", _pieces(BINARY, _MEGABYTE * 4, 65_536)),
    _whole("9.5 text of 1 MB in chops", masked(TEXT, _MEGABYTE), chop=8192),
    _whole("9.7 2000 small messages", b"".join(masked(BINARY, b"%d" % n) for n in range(2000)), 2000),
    Case("9.9 oversize", masked(BINARY, bytes(MESSAGE_MAX + 1))),
    Case("9.10 oversize in fragments", _pieces(BINARY, bytes(MESSAGE_MAX + 1), 1 << 20)),
]

CASES = [*_sizes(), *PINGS, *RESERVED, *FRAGMENTS, *UTF8, *CLOSES, *LARGE]
