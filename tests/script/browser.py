"""What a browser with the session script sends, without the browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.stack.whole import Whole, whole


class MovableClock:
    """The real time, and as much later as the test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += seconds


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Browser:
    """Somebody's browser, signed in."""

    def __init__(self, gate: Whole, cookie: str, clock: MovableClock, user_id: int) -> None:
        self.gate = gate
        self.cookie = cookie
        self.clock = clock
        self.user_id = user_id

    def ask(self, path: str, method: str = "GET", *, body: str = "", **headers: str) -> Reply:
        """Headers as keywords: `Sec_Fetch_Site="none"`; one that is "" is not sent."""
        sent = {
            "Cookie": self.cookie,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
            "X-Gatekeeper-Session": "1",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST" and "Origin" not in sent:
            sent["Origin"] = f"http://{self.gate.host}"
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(
                method,
                path,
                body=body.encode() if method == "POST" else None,
                headers={name: value for name, value in sent.items() if value},
            )
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def session(self) -> Reply:
        return self.ask("/_gate/session")

    def post(self, what: str, **headers: str) -> Reply:
        return self.ask(f"/_gate/session/{what}", "POST", **headers)

    def beacon(self, query: str, **headers: str) -> Reply:
        """As `navigator.sendBeacon`: no header of ours."""
        given = {
            "X_Gatekeeper_Session": "",
            "X-Gatekeeper-Session": "",
            "Sec-Fetch-Mode": "no-cors",
        } | headers
        return self.ask(f"/_gate/session/closing?{query}", "POST", **given)

    def navigate(self, path: str) -> Reply:
        return self.ask(path, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document", Accept="text/html")

    def logout(self, csrf: str, cookie: str) -> Reply:
        return self.ask(
            "/_gate/session/logout",
            "POST",
            body=urlencode({"csrf": csrf}),
            Cookie=f"{self.cookie}; {cookie}",
            Content_Type="application/x-www-form-urlencoded",
        )


@contextlib.contextmanager
def signed_in(
    folder: Path,
    *,
    remembered: bool = False,
    port: int | None = None,
    script: bool | str = True,
    **settings: Any,
) -> Iterator[Browser]:
    """Pat's browser, signed in to a Gatekeeper in front of the sample application, or of `port`."""
    clock = MovableClock()
    with contextlib.nullcontext(port) if port is not None else serving(make_sample()) as port:
        upstream = {"url": f"http://127.0.0.1:{port}", "session_script": script}
        with whole(folder, upstream, clock=clock, **settings) as gate:
            user_id = gate.add_user("pat")
            yield Browser(gate, cookie_of(gate, user_id, remembered=remembered), clock, user_id)


def cookie_of(gate: Whole, user_id: int, *, remembered: bool = False) -> str:
    async def start(services: Any) -> str:
        _, value = await services.sessions.start(
            user_id, methods="pwd", remembered=remembered, client="127.0.0.1", user_agent="test"
        )
        return str(value)

    return f"gatekeeper={gate.call(start)}"
