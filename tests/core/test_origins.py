"""Hand-shakes are accepted from the application's own origins only (PRODUCT §9, ASVS 5.0 V4.4.2)."""

from __future__ import annotations

import pytest

from gatekeeper.core.origins import origin_allowed, origin_of

OURS = frozenset({"https://office.example.com", "http://127.0.0.1:8080"})


@pytest.mark.parametrize("origin", [b"https://office.example.com", b"http://127.0.0.1:8080"])
def test_own_origins_pass(origin: bytes) -> None:
    assert origin_allowed([(b"host", b"office.example.com"), (b"origin", origin)], OURS)


def test_without_an_origin_it_is_no_browser() -> None:
    assert origin_allowed([(b"host", b"office.example.com")], OURS)


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"https://evil.example.net",
        b"http://office.example.com",
        b"https://office.example.com:8443",
        b"https://office.example.com.evil.example.net",
        b"https://evil.example.net/https://office.example.com",
        b"https://office.example.com/",
        b"https://office.example.com https://evil.example.net",
        b"HTTPS://OFFICE.EXAMPLE.COM",
        b"https://office.example.com\xff",
        b"file://",
    ],
)
def test_foreign_and_opaque_origins_are_refused(origin: bytes) -> None:
    assert not origin_allowed([(b"origin", origin)], OURS)


def test_null_is_refused_even_when_listed() -> None:
    assert not origin_allowed([(b"origin", b"null")], frozenset({"null"}))


def test_two_origins_are_refused_even_when_both_are_ours() -> None:
    ours = (b"origin", b"https://office.example.com")
    assert not origin_allowed([ours, ours], OURS)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Office.Example.com", "https://office.example.com"),
        ("https://office.example.com:443/app", "https://office.example.com"),
        ("http://office.example.com:80", "http://office.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["office.example.com", "https://", "https://host:port", "/path"])
def test_what_is_no_origin_is_an_error(url: str) -> None:
    with pytest.raises(ValueError):
        origin_of(url)
