from __future__ import annotations

import pytest

from gatekeeper.upstream.origin import Origin, OriginError


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://127.0.0.1:3000", Origin("http", "127.0.0.1", 3000), "127.0.0.1:3000"),
        ("http://App.Internal/", Origin("http", "app.internal", 80), "app.internal"),
        ("https://app.internal", Origin("https", "app.internal", 443), "app.internal"),
        ("https://app.internal:80", Origin("https", "app.internal", 80), "app.internal:80"),
        ("http://[::1]:3000", Origin("http", "::1", 3000), "[::1]:3000"),
        ("unix:/run/app.sock", Origin("http", "localhost", 0, "/run/app.sock"), "localhost"),
        ("unix:///run/app.sock", Origin("http", "localhost", 0, "/run/app.sock"), "localhost"),
    ],
)
def test_an_address_is_read_once(url: str, origin: Origin, authority: str) -> None:
    assert Origin.parse(url) == origin
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:3000",
        "ftp://app",
        "http://",
        "http://app/base",
        "http://app?",
        "http://app#x",
        "http://user@app",
        "http://app:0",
        "http://app:70000",
        "http://app:x",
        "http://a pp",
        "http://app\r\nx: y",
        "http://[::1",
        "http://[fe80::1%25eth0]",
        "unix:relative",
        "unix:",
        "",
    ],
)
def test_an_address_that_says_more_or_less_is_refused(url: str) -> None:
    with pytest.raises(OriginError):
        Origin.parse(url)
