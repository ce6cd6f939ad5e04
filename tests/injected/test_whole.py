"""The session script through all of Gatekeeper: switched on and off, beside activity and the idle end."""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.stack.whole import Whole, whole

NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-User": "?1",
    "Accept": "text/html",
    "Accept-Encoding": "gzip",
}
BY_ITSELF = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
ELEMENT = re.compile(
    rb'<script src="(/_gate/static/session\.js\?v=[0-9a-f]{16})" defer data-prefix="/_gate"></script>'
)


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@contextlib.contextmanager
def sample(folder: Path, *, script: bool, **more: Any) -> Iterator[Whole]:
    with serving(make_sample()) as port:
        upstream = {"url": f"http://127.0.0.1:{port}", "session_script": script}
        with whole(folder, upstream, **more) as found:
            yield found


def get(
    gate: Whole, path: str, cookie: str = "", headers: dict[str, str] = NAVIGATION, method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers={**headers, "Cookie": cookie})
        response = connection.getresponse()
        return response, response.read()


def test_pages_are_byte_for_byte_the_same_but_for_one_element(tmp_path: Path) -> None:
    pages = ["/", "/orders?q=lamp", "/orders/new", "/documents", "/audit", "/nowhere"]
    with sample(tmp_path / "on", script=True) as on, sample(tmp_path / "off", script=False) as off:
        with_script, without = (gate.cookie(gate.add_user("pat")) for gate in (on, off))
        for path in pages:
            response, page = get(on, path, with_script)
            found = ELEMENT.findall(page)
            assert len(found) == 1, path
            plain, expected = get(off, path, without)
            assert ELEMENT.sub(b"", page) == expected
            assert response.status == plain.status
            assert page.index(b"<script") == page.index(b"<head>") + len(b"<head>")
        script, body = get(on, found[0].decode(), with_script, {"Accept-Encoding": "identity"})
        assert (script.status, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert "immutable" in script.headers["cache-control"]
        assert body.endswith(b"\n")


def test_what_is_no_page_for_somebody_signed_in_has_no_script(tmp_path: Path) -> None:
    with sample(tmp_path, script=True, rules=[{"path": "/", "allow": "public"}]) as gate:
        cookie = gate.cookie(gate.add_user("pat"))
        assert ELEMENT.search(get(gate, "/")[1]) is None
        assert ELEMENT.search(get(gate, "/", cookie, BY_ITSELF)[1]) is None
        assert ELEMENT.search(get(gate, "/", cookie)[1]) is not None
        head, body = get(gate, "/", cookie, method="HEAD")
        assert (head.status, body) == (200, b"")


def test_polling_keeps_no_session_alive_and_clicking_does(tmp_path: Path) -> None:
    clock = Clock()
    with sample(tmp_path, script=True, clock=clock, session={"idle_timeout": "10m"}) as gate:
        user = gate.add_user("pat")
        polling, clicking = gate.cookie(user), gate.cookie(user)
        for _ in range(2):
            clock.ahead += 360.0
            status = get(gate, "/orders", polling, BY_ITSELF)[0].status
            assert get(gate, "/orders", clicking)[0].status == 200
        assert status == 401
