"""The frame tracker: what passes, what ends the connection, wherever the socket cuts the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gatekeeper.upstream.websocket_frames import (
    MESSAGE_TOO_BIG,
    PROTOCOL_ERROR,
    FrameTracker,
    close_frame,
)

MAX = 1000


def client(*, compressed: bool = False, message_max: int = MAX) -> FrameTracker:
    return FrameTracker(masked=True, compressed=compressed, message_max=message_max)


def server(*, compressed: bool = False, message_max: int = MAX) -> FrameTracker:
    return FrameTracker(masked=False, compressed=compressed, message_max=message_max)


def frame(
    opcode: Opcode, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False, mask: bool = True
) -> bytes:
    data = Frame(opcode, payload, fin).serialize(mask=mask)
    return bytes((data[0] | 0x40,)) + data[1:] if rsv1 else data


def raw(first: int, second: int, rest: bytes = b"") -> bytes:
    """A header that no library would write."""
    return bytes((first, second)) + rest


TEXT = frame(Opcode.TEXT, b"hello")


def test_whole_frames_pass_as_the_very_same_object() -> None:
    tracker = client()
    data = TEXT + frame(Opcode.PING, b"1") + frame(Opcode.BINARY, b"\x00" * 200)
    assert tracker.feed(data) is data
    assert tracker.at_boundary
    assert tracker.error == 0


def test_payload_passes_before_its_frame_is_whole() -> None:
    tracker = client()
    data = frame(Opcode.BINARY, bytes(900))
    assert tracker.feed(data[:100]) == data[:100]
    assert not tracker.at_boundary
    assert tracker.feed(data[100:]) == data[100:]
    assert tracker.at_boundary


@pytest.mark.parametrize("cut", range(1, 8))
def test_an_incomplete_header_is_held_back(cut: int) -> None:
    tracker = client()
    long = frame(Opcode.BINARY, bytes(200))
    assert tracker.feed(TEXT + long[:cut]) == TEXT
    assert tracker.at_boundary
    assert tracker.feed(long[cut:]) == long


PROTOCOL_ERRORS = {
    "reserved bit 2": raw(0xA1, 0x80, bytes(4)),
    "reserved bit 3": raw(0x91, 0x80, bytes(4)),
    "reserved bit 1 without an extension": raw(0xC1, 0x80, bytes(4)),
    "reserved data opcode 3": raw(0x83, 0x80, bytes(4)),
    "reserved data opcode 7": raw(0x87, 0x80, bytes(4)),
    "reserved control opcode 11": raw(0x8B, 0x80, bytes(4)),
    "reserved control opcode 15": raw(0x8F, 0x80, bytes(4)),
    "fragmented ping": raw(0x09, 0x80, bytes(4)),
    "fragmented close": raw(0x08, 0x80, bytes(4)),
    "compressed ping": raw(0xC9, 0x80, bytes(4)),
    "ping of 126 bytes": raw(0x89, 0xFE, b"\x00\x7e" + bytes(4)),
    "close of 126 bytes": raw(0x88, 0xFE, b"\x00\x7e" + bytes(4)),
    "unmasked text": raw(0x81, 0x05, b"hello"),
    "unmasked close": raw(0x88, 0x00),
    "continuation of nothing": raw(0x80, 0x80, bytes(4)),
    "length with the highest bit": raw(0x82, 0xFF, b"\x80" + bytes(11)),
}


@pytest.mark.parametrize("bad", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_protocol_error_stops_before_the_wrong_frame(bad: bytes) -> None:
    tracker = client()
    assert tracker.feed(TEXT + bad + TEXT) == TEXT
    assert tracker.error == PROTOCOL_ERROR
    assert tracker.at_boundary
    assert tracker.feed(TEXT) == b""


@pytest.mark.parametrize("bad", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_protocol_error_is_found_byte_by_byte(bad: bytes) -> None:
    tracker = client()
    assert b"".join(tracker.feed(bytes((byte,))) for byte in TEXT + bad) == TEXT
    assert tracker.error == PROTOCOL_ERROR


def test_the_server_must_not_mask() -> None:
    tracker = server()
    assert tracker.feed(frame(Opcode.TEXT, b"x", mask=False)) == b"\x81\x01x"
    assert tracker.feed(TEXT) == b""
    assert tracker.error == PROTOCOL_ERROR


def test_a_new_message_inside_a_fragmented_one_is_an_error() -> None:
    tracker = client()
    tracker.feed(frame(Opcode.TEXT, b"a", fin=False))
    assert tracker.feed(TEXT) == b""
    assert tracker.error == PROTOCOL_ERROR


def test_control_frames_pass_between_fragments() -> None:
    tracker = client()
    data = (
        frame(Opcode.TEXT, b"a", fin=False)
        + frame(Opcode.PING, b"p")
        + frame(Opcode.CONT, b"b", fin=False)
        + frame(Opcode.PONG)
        + frame(Opcode.CONT, b"c")
        + TEXT
    )
    assert tracker.feed(data) is data
    assert tracker.error == 0


def test_the_compression_bit_is_for_the_first_frame_of_a_message_only() -> None:
    tracker = client(compressed=True)
    data = frame(Opcode.TEXT, b"a", fin=False, rsv1=True) + frame(Opcode.CONT, b"b")
    assert tracker.feed(data) == data
    tracker.feed(frame(Opcode.TEXT, b"a", fin=False, rsv1=True))
    assert tracker.feed(frame(Opcode.CONT, b"b", rsv1=True)) == b""
    assert tracker.error == PROTOCOL_ERROR


def test_a_declared_frame_above_the_cap_is_refused_before_its_payload() -> None:
    tracker = client()
    assert tracker.feed(frame(Opcode.BINARY, bytes(MAX))) != b""
    assert tracker.feed(frame(Opcode.BINARY, bytes(MAX + 1))[:8]) == b""
    assert tracker.error == MESSAGE_TOO_BIG


def test_the_cap_counts_all_frames_of_a_message() -> None:
    tracker = client()
    assert tracker.feed(frame(Opcode.TEXT, bytes(600), fin=False))
    assert tracker.feed(frame(Opcode.PING, bytes(100)))
    assert tracker.feed(frame(Opcode.CONT, bytes(400), fin=False))
    assert tracker.feed(frame(Opcode.CONT, b"x")) == b""
    assert tracker.error == MESSAGE_TOO_BIG


def test_the_cap_starts_anew_with_each_message() -> None:
    tracker = client()
    for _ in range(5):
        assert tracker.feed(frame(Opcode.TEXT, bytes(500), fin=False))
        assert tracker.feed(frame(Opcode.CONT, bytes(500)))
    assert tracker.error == 0


def test_nothing_follows_a_close_frame() -> None:
    tracker = client()
    bye = frame(Opcode.CLOSE, Close(1000, "bye").serialize())
    assert tracker.feed(bye[:9] + b"") == bye[:9]
    assert tracker.closed
    assert not tracker.at_boundary
    assert tracker.feed(bye[9:] + TEXT) == bye[9:]
    assert tracker.at_boundary
    assert tracker.feed(TEXT) == b""
    assert tracker.error == 0


@pytest.mark.parametrize(
    ("data", "active"),
    [
        (frame(Opcode.TEXT, b"x"), True),
        (frame(Opcode.BINARY, b""), True),
        (frame(Opcode.PING, b"x"), False),
        (frame(Opcode.PONG, b"x"), False),
        (frame(Opcode.CLOSE), False),
        (TEXT[:1], False),
    ],
)
def test_only_data_frames_are_activity(data: bytes, active: bool) -> None:
    tracker = client()
    tracker.feed(data)
    assert tracker.active is active


def test_payload_of_a_long_frame_is_activity_and_of_a_ping_is_not() -> None:
    tracker = client()
    tracker.feed(frame(Opcode.BINARY, bytes(500))[:100])
    tracker.active = False
    tracker.feed(bytes(50))
    assert tracker.active
    tracker = client()
    ping = frame(Opcode.PING, bytes(100))
    tracker.feed(ping[:20])
    tracker.feed(ping[20:])
    assert not tracker.active


def test_quiet_lets_the_frame_under_way_end_and_nothing_after_it() -> None:
    tracker = client()
    tracker.feed(TEXT[:8])
    tracker.quiet()
    assert not tracker.at_boundary
    assert tracker.feed(TEXT[8:] + TEXT) == TEXT[8:]
    assert tracker.at_boundary
    assert tracker.feed(frame(Opcode.CLOSE)) == b""
    assert tracker.closed


def test_quiet_at_a_boundary_passes_nothing_more() -> None:
    tracker = client()
    tracker.feed(TEXT + TEXT[:1])
    tracker.quiet()
    assert tracker.at_boundary
    assert tracker.feed(TEXT[1:9]) == b""
    assert tracker.at_boundary
    assert tracker.feed(TEXT[9:] + frame(Opcode.CLOSE)) == b""
    assert tracker.closed


def test_our_close_frames_are_what_the_field_writes() -> None:
    mask = b"\x01\x02\x03\x04"
    assert close_frame(1001) == b"\x88\x02\x03\xe9"
    assert close_frame(1008, "over") == frame(Opcode.CLOSE, Close(1008, "over").serialize(), mask=False)
    assert close_frame(1008, "é", mask=mask) == b"\x88\x84" + mask + bytes(
        byte ^ mask[index] for index, byte in enumerate(Close(1008, "é").serialize())
    )
    with pytest.raises(ValueError):
        close_frame(1008, "x" * 124)


frames = st.lists(
    st.tuples(
        st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG]), st.binary(max_size=300)
    ).map(lambda item: frame(item[0], item[1][: 125 if item[0] in (Opcode.PING, Opcode.PONG) else None])),
    max_size=6,
)


@given(frames, st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_however_the_socket_cuts_valid_frames_they_all_pass(
    items: list[bytes], cuts: list[int], close: bool
) -> None:
    stream = b"".join(items) + (frame(Opcode.CLOSE) if close else b"")
    tracker = client()
    passed = b""
    position = 0
    for cut in [*cuts, len(stream)]:
        passed += tracker.feed(stream[position : position + cut])
        position += cut
        assert stream.startswith(passed)
    assert passed == stream
    assert tracker.at_boundary
    assert tracker.error == 0


@given(st.binary(max_size=400), st.lists(st.integers(1, 20), max_size=30), st.booleans())
def test_any_bytes_at_all_give_the_same_verdict_whole_or_in_pieces(
    stream: bytes, cuts: list[int], masked: bool
) -> None:
    whole = FrameTracker(masked=masked, compressed=True, message_max=MAX)
    pieces = FrameTracker(masked=masked, compressed=True, message_max=MAX)
    passed = b""
    position = 0
    for cut in [*cuts, len(stream)]:
        passed += pieces.feed(stream[position : position + cut])
        position += cut
    assert passed == whole.feed(stream)
    assert (pieces.error, pieces.closed, pieces.at_boundary) == (whole.error, whole.closed, whole.at_boundary)
