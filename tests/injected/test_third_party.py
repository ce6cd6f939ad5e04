"""Two third-party applications, each behind a Gatekeeper with the session script and one without it."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.injected.test_whole import ELEMENT, get
from tests.script.test_third_party import datasette, marimo
from tests.stack.whole import Whole, whole

MENDED = ("content-length", "etag", "vary", "date")
"""What is not the same in the head of a page with the script, and the second in which it was made."""
TOOK = re.compile(rb'(?:(?<=Queries took )|(?<="query_ms": ))[0-9.]+')
"""Datasette says how long it needed."""


def without_host(gate: Whole, text: bytes) -> bytes:
    """Both Gatekeepers have addresses of their own, which the applications write into their links."""
    return TOOK.sub(b"0", text.replace(gate.host.encode(), b"app.example.com"))


def head_of(gate: Whole, response: http.client.HTTPResponse, *, mended: bool) -> list[tuple[str, bytes]]:
    return [
        (name, without_host(gate, value.encode()))
        for name, value in response.getheaders()
        if name != "date" and not (mended and name in MENDED)
    ]


@pytest.mark.parametrize(
    ("serve", "pages", "others"),
    [
        (
            datasette,
            ["/", "/shop", "/shop/orders", "/shop/orders/1", "/-/databases", "/nowhere"],
            ["/shop/orders.json", "/shop/orders.csv", "/-/static/app.css"],
        ),
        (marimo, ["/"], ["/manifest.json", "/favicon.ico", "/nowhere"]),
    ],
    ids=["datasette", "marimo"],
)
def test_its_pages_are_byte_for_byte_the_same_but_for_one_element(
    tmp_path: Path,
    serve: Callable[[Path], AbstractContextManager[int]],
    pages: list[str],
    others: list[str],
) -> None:
    with (
        serve(tmp_path) as port,
        whole(tmp_path / "on", {"url": f"http://127.0.0.1:{port}", "session_script": True}) as on,
        whole(tmp_path / "off", f"http://127.0.0.1:{port}") as off,
    ):
        with_script, without = (gate.cookie(gate.add_user("pat")) for gate in (on, off))
        for path in [*pages, *others]:
            response, page = get(on, path, with_script)
            plain, expected = get(off, path, without)
            is_page = path in pages
            found = ELEMENT.findall(page)
            assert len(found) == is_page, path
            assert without_host(on, ELEMENT.sub(b"", page, count=1)) == without_host(off, expected), path
            assert response.status == plain.status
            assert head_of(on, response, mended=is_page) == head_of(off, plain, mended=is_page)
            if not is_page:
                continue
            varies = [*plain.headers.get_all("vary", []), "Sec-Fetch-Dest"]
            assert response.headers.get_all("vary") == varies
            if "content-length" in plain.headers:
                assert int(response.headers["content-length"]) == len(page)
            if "etag" in plain.headers:
                own = plain.headers["etag"].strip('"')
                assert re.fullmatch(rf'W/"{own}-gk[0-9a-f]{{8}}"', response.headers["etag"])
