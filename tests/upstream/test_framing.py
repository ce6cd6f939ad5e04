from __future__ import annotations

import pytest

from gatekeeper.core.errors import RequestRejected
from gatekeeper.upstream.framing import CHUNKED, NO_BODY, UNDECLARED, RequestHead, write_head
from tests.upstream.harness import HeaderPairs


def head(
    headers: HeaderPairs,
    *,
    method: str = "GET",
    target: bytes = b"/",
    host: bytes | None = None,
    version: str = "1.1",
) -> RequestHead:
    return write_head(method, target, headers, host=host, fallback_host=b"app:3000", version=version)


def test_target_and_headers_go_out_byte_for_byte() -> None:
    sent = head(
        [(b"host", b"www.example.com"), (b"x-a", b"1"), (b"x-a", b" \xe9\t"), (b"cookie", b"a=b")],
        target=b"/%2f%41/\xc3\xa9;x?q=%zz&&?",
    )
    assert sent.data == (
        b"GET /%2f%41/\xc3\xa9;x?q=%zz&&? HTTP/1.1\r\nhost: www.example.com\r\n"
        b"x-a: 1\r\nx-a:  \xe9\t\r\ncookie: a=b\r\n"
    )
    assert sent.length == NO_BODY


def test_host_is_kept_or_rewritten_and_never_missing() -> None:
    assert b"\r\nhost: www.example.com\r\n" in head([(b"host", b"www.example.com")]).data
    rewritten = head([(b"host", b"www.example.com")], host=b"app:3000").data
    assert b"\r\nhost: app:3000\r\n" in rewritten and b"www.example.com" not in rewritten
    assert b"\r\nhost: app:3000\r\n" in head([]).data


def test_hop_by_hop_fields_end_here() -> None:
    names = [b"connection", b"keep-alive", b"te", b"upgrade", b"proxy-authorization", b"trailer"]
    assert head([(name, b"x") for name in names]).data == b"GET / HTTP/1.1\r\nhost: app:3000\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-user", b"eve\r\nx-role: admin"),
        (b"x-user", b"eve\nx-role: admin"),
        (b"x-user", b"eve\rx"),
        (b"x-user", b"eve\0"),
        (b"x-user: eve\r\nx", b"1"),
        (b"x user", b"1"),
        (b"x-user:", b"1"),
        (b"x\0", b"1"),
        (b"\xe9", b"1"),
        (b"", b"1"),
        (b"host", b"a\r\nx: y"),
        (b"expect", b"100-continue\r\nx: y"),
    ],
)
def test_no_header_can_end_its_line(name: bytes, value: bytes) -> None:
    with pytest.raises(RequestRejected) as refused:
        head([(name, value)])
    assert refused.value.status == 400


@pytest.mark.parametrize("target", [b"/a b", b"/\r\n", b"/\n", b"/\0", b"/\x7f", b"/\t", b""])
def test_no_target_can_end_the_request_line(target: bytes) -> None:
    with pytest.raises(RequestRejected):
        head([], target=target)


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nx:", "", "GE T", "CONNECT"])
def test_a_method_is_a_token(method: str) -> None:
    with pytest.raises(RequestRejected):
        head([], method=method)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"+1")],
        [(b"content-length", b"1, 1")],
        [(b"content-length", b"")],
        [(b"content-length", b"9" * 19)],
        [(b"host", b"a"), (b"host", b"a")],
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(headers: HeaderPairs) -> None:
    with pytest.raises(RequestRejected) as refused:
        head(headers)
    assert refused.value.status == 400


def test_a_capital_letter_hides_nothing() -> None:
    hidden = [(b"Host", b"www.example.com"), (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")]
    with pytest.raises(RequestRejected):
        head(hidden)
    assert head(hidden[:2]).data == b"GET / HTTP/1.1\r\nhost: www.example.com\r\n"


def test_the_body_is_what_was_declared() -> None:
    assert head([(b"content-length", b"12")]).length == 12
    assert head([(b"content-length", b"0")]).length == NO_BODY
    chunked = head([(b"transfer-encoding", b"chunked")])
    assert chunked.length == CHUNKED and b"transfer-encoding" not in chunked.data
    assert head([], method="POST").length == NO_BODY
    assert head([], version="2").length == UNDECLARED


def test_an_expectation_counts_only_with_a_body_and_in_http_1_1() -> None:
    expect = (b"expect", b"100-Continue")
    assert head([expect, (b"content-length", b"1")]).expects
    assert b"expect: 100-Continue\r\n" in head([expect, (b"content-length", b"1")]).data
    assert not head([expect]).expects
    old = head([expect, (b"content-length", b"1")], version="1.0")
    assert not old.expects and b"expect" not in old.data
