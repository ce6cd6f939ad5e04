"""Targets: canonical ones are read one way, ambiguous ones are refused, raw bytes stay as they came."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.target import Leniency, parse_target

REFUSED = [
    (b"", "path_form"),
    (b"*", "path_form"),
    (b"admin", "path_form"),
    (b"http://evil.example/admin", "path_form"),
    (b"/a/../admin", "path_dot_segment"),
    (b"/a/./b", "path_dot_segment"),
    (b"/..", "path_dot_segment"),
    (b"/.", "path_dot_segment"),
    (b"/a/%2e%2e/admin", "path_dot_segment"),
    (b"/a/%2E./admin", "path_dot_segment"),
    (b"/a/.%2e", "path_dot_segment"),
    (b"/a\\..\\admin", "path_backslash"),
    (b"/a%5cadmin", "path_backslash"),
    (b"/a%2Fadmin", "path_encoded_slash"),
    (b"/a%2fadmin", "path_encoded_slash"),
    (b"/%252e%252e/admin", "path_double_encoded"),
    (b"/%25%32%65/admin", "path_double_encoded"),
    (b"/a%2", "path_escape"),
    (b"/a%", "path_escape"),
    (b"/a%zz", "path_escape"),
    (b"/%c0%ae%c0%ae/admin", "path_utf8"),
    (b"/%e9", "path_utf8"),
    (b"/%ed%a0%80", "path_utf8"),
    (b"/a%00", "path_control"),
    (b"/a%0d%0aX-Evil:1", "path_control"),
    (b"/a%7f", "path_control"),
    (b"/a%c2%85", "path_control"),
    (b"/a\x00", "path_bytes"),
    (b"/a b", "path_bytes"),
    (b"/a\tb", "path_bytes"),
    (b"/caf\xc3\xa9", "path_bytes"),
    (b"/a#b", "path_bytes"),
    (b"/a?b", "path_bytes"),
    (b"//evil.example/admin", "path_double_slash"),
    (b"/a//b", "path_double_slash"),
    (b"/admin;x=1", "path_parameter"),
    (b"/admin%3bx", "path_parameter"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
def test_a_target_that_two_servers_read_differently_is_refused_before_any_rule(
    raw: bytes, reason: str
) -> None:
    with pytest.raises(RequestRejected) as caught:
        parse_target(raw, b"")
    assert (caught.value.status, caught.value.reason) == (400, reason)


@pytest.mark.parametrize("query", [b"a#b", b"a b", b"a\x00", b"a\xe9", b"a\r\nX: 1"])
def test_a_query_holds_printable_ascii_without_a_fragment(query: bytes) -> None:
    with pytest.raises(RequestRejected, match="query_bytes"):
        parse_target(b"/", query)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/orders/17", "/orders/17"),
        (b"/%61dmin", "/admin"),
        (b"/caf%C3%A9", "/café"),
        (b"/a%20b", "/a b"),
        (b"/100%25", "/100%"),
        (b"/...", "/..."),
        (b"/.well-known/x", "/.well-known/x"),
        (b"/a/..b", "/a/..b"),
        (b'/a[1]{b}|^`"<>', '/a[1]{b}|^`"<>'),
        (b"/a%3Fb%23c", "/a?b#c"),
    ],
)
def test_a_canonical_target_is_decoded_once_and_kept_raw(raw: bytes, path: str) -> None:
    target = parse_target(raw, b"q=%2e%2e/&x={}|")
    assert (target.raw, target.path, target.readings) == (raw, path, (path,))
    assert target.query == b"q=%2e%2e/&x={}|"


@pytest.mark.parametrize(
    ("raw", "leniency", "readings"),
    [
        (b"/a%2Fb", Leniency(encoded_slash=True), {"/a/b", "/a%2Fb"}),
        (b"/a;x=1/b", Leniency(semicolon=True), {"/a;x=1/b", "/a/b", "/a"}),
        (b"/a//b", Leniency(double_slash=True), {"/a//b", "/a/b"}),
        (b"/Admin", Leniency(case_insensitive=True), {"/admin"}),
        (b"/%41DMIN", Leniency(case_insensitive=True), {"/admin"}),
    ],
)
def test_a_leniency_brings_every_reading_before_the_rules(
    raw: bytes, leniency: Leniency, readings: set[str]
) -> None:
    assert set(parse_target(raw, b"", leniency).readings) == readings


@pytest.mark.parametrize(
    ("raw", "leniency"),
    [
        (b"/a%2F..%2Fadmin", Leniency(encoded_slash=True)),
        (b"/a%2F%2Fadmin", Leniency(encoded_slash=True)),
        (b"/a/..;/admin", Leniency(semicolon=True)),
        (b"/;x/admin", Leniency(semicolon=True)),
        (b"/a//../b", Leniency(double_slash=True)),
        (b"/a%2f..;%2fb", Leniency(True, True, True)),
    ],
)
def test_no_leniency_brings_a_dot_segment_back_in_any_reading(raw: bytes, leniency: Leniency) -> None:
    with pytest.raises(RequestRejected):
        parse_target(raw, b"", leniency)


def strict_server_path(raw: bytes) -> str:
    """What an independent, strict server serves: decode once with the standard library, then normalise."""
    return posixpath.normpath(unquote(raw.decode("ascii"), errors="strict")).replace("//", "/")


ODD_PIECES = st.sampled_from(
    rb"a admin Z / / // . .. %2e %2E %2f %5c \ ; %3b %25 %00 %0a %c3%a9 %c0%af %61 % %4 ? # ~ %7f "
    rb"%e2%80%a8 %u002f %%32%66 @ : = + & %ff *".split()
    + [b" ", b"\x80"]
)
TARGETS = st.one_of(
    st.lists(ODD_PIECES, max_size=12).map(lambda pieces: b"/" + b"".join(pieces)),
    st.binary(max_size=24).map(lambda tail: b"/" + tail),
)


@settings(max_examples=20_000, deadline=None)
@given(TARGETS)
def test_what_a_rule_reads_is_what_a_strict_server_would_serve(raw: bytes) -> None:
    try:
        target = parse_target(raw, b"")
    except RequestRejected as error:
        assert error.status == 400
        return
    assert target.raw == raw
    assert target.readings == (target.path,)
    assert target.path.encode() == unquote_to_bytes(raw)
    assert target.path.rstrip("/") == strict_server_path(raw).rstrip("/")


@settings(max_examples=2_000, deadline=None)
@given(TARGETS, st.builds(Leniency, st.booleans(), st.booleans(), st.booleans(), st.booleans()))
def test_no_reading_under_any_leniency_climbs(raw: bytes, leniency: Leniency) -> None:
    try:
        target = parse_target(raw, b"", leniency)
    except RequestRejected:
        return
    for reading in target.readings:
        assert not {".", ".."} & set(reading.split("/"))
        assert "\\" not in reading
        assert reading.startswith("/")
