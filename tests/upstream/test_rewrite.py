from __future__ import annotations

import pytest

from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.rewrite import Rewriter

PUBLIC = "https://gate.example.com"


def rewritten(
    name: bytes, value: bytes, url: str = "http://app.internal:3000", public: str = PUBLIC
) -> bytes:
    return Rewriter(Origin.parse(url), [public]).value(name, value)


@pytest.mark.parametrize(
    ("url", "value", "seen"),
    [
        ("http://app.internal:3000", b"http://app.internal:3000/a?b#c", b"https://gate.example.com/a?b#c"),
        ("http://app.internal:3000", b"HTTP://APP.Internal:3000", b"https://gate.example.com"),
        ("http://app.internal:3000", b"//app.internal:3000/a", b"https://gate.example.com/a"),
        ("http://app.internal", b"http://app.internal:80/a", b"https://gate.example.com/a"),
        ("http://app.internal:80", b"http://app.internal/a", b"https://gate.example.com/a"),
        ("https://app.internal", b"https://app.internal?q", b"https://gate.example.com?q"),
        ("http://127.0.0.1:3000", b"http://localhost:3000/a", b"https://gate.example.com/a"),
        ("http://[::1]:3000", b"http://[::1]:3000/a", b"https://gate.example.com/a"),
        ("unix:/run/app.sock", b"http://localhost/a", b"https://gate.example.com/a"),
    ],
)
def test_the_applications_own_address_becomes_ours(url: str, value: bytes, seen: bytes) -> None:
    assert rewritten(b"location", value, url) == seen
    assert rewritten(b"content-location", value, url) == seen


@pytest.mark.parametrize(
    "value",
    [
        b"/a/b?c=http://app.internal:3000/",
        b"a",
        b"",
        b"https://gate.example.com/a",
        b"http://app.internal/",
        b"https://app.internal:3000/",
        b"http://app.internal:3000@evil.example/",
        b"http://app.internal:30000/",
        b"http://app.internal:3000.evil.example/",
        b"http://app.internal:3000\\evil",
        b"http://user@app.internal:3000/",
        b"http://xapp.internal:3000/",
        b"http://appxinternal:3000/",
        b" http://elsewhere.example/%2f/\xe9 ",
    ],
)
def test_other_addresses_stay_byte_for_byte(value: bytes) -> None:
    assert rewritten(b"location", value) == value


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"5; url=http://app.internal:3000/a", b"5; url=https://gate.example.com/a"),
        (b"0;URL='http://app.internal:3000'", b"0;URL='https://gate.example.com'"),
        (b"5", b"5"),
        (b"5; url=/a", b"5; url=/a"),
    ],
)
def test_refresh(value: bytes, seen: bytes) -> None:
    assert rewritten(b"refresh", value) == seen


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"a=b; Domain=app.internal; Path=/; HttpOnly", b"a=b; Path=/; HttpOnly"),
        (b"a=b;domain=.APP.internal", b"a=b"),
        (b"a=b; Domain=internal", b"a=b"),
        (b"a=b; Path=/domain", b"a=b; Path=/domain"),
        (b"domain=app.internal; Path=/", b"domain=app.internal; Path=/"),
        (b"a=b; Domain=example.com", b"a=b; Domain=example.com"),
        (b"a=b; Domain=", b"a=b; Domain="),
        (b"a=b; Domain=elsewhere.example", b"a=b; Domain=elsewhere.example"),
    ],
)
def test_a_cookie_for_the_applications_host_becomes_one_for_ours_alone(value: bytes, seen: bytes) -> None:
    assert rewritten(b"set-cookie", value) == seen


def test_a_cookie_domain_that_both_share_stays() -> None:
    value = b"a=b; Domain=example.com"
    assert rewritten(b"set-cookie", value, "http://app.example.com") == value


def test_without_a_public_address_nothing_is_touched() -> None:
    rewriter = Rewriter(Origin.parse("http://app.internal"), [])
    assert rewriter.value(b"location", b"http://app.internal/") == b"http://app.internal/"
    assert rewriter.value(b"set-cookie", b"a=b; Domain=app.internal") == b"a=b; Domain=app.internal"
