"""Two applications that get the session script, keep forms, and are told who is asking: each for itself."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest

from gatekeeper.build import Gatekeeper
from gatekeeper.build.services import Services
from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.session import EndReason
from gatekeeper.demo.serving import serving
from gatekeeper.settings import make_settings
from tests.gate.test_shell import App
from tests.script.browser import MovableClock
from tests.stack.test_applications import OFFICE, WIKI, Browser
from tests.stack.whole import Whole, whole

NOTES = "notes.example.com"
SAME = {"Sec-Fetch-Site": "same-origin"}
SCRIPT = re.compile(r'<script src="/_gate/static/session\.js')


class Page:
    """A page whose policy names the one host that its own scripts come from."""

    def __init__(self, policy: str = "") -> None:
        self.policy = policy
        self.seen: list[tuple[str, str, dict[bytes, bytes], bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append((scope["method"], scope["path"], dict(scope["headers"]), bytes(body)))
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        if self.policy:
            headers.append((b"content-security-policy", self.policy.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        page = b"<!doctype html><html><head><title>x</title></head><body>x</body></html>"
        await send({"type": "http.response.body", "body": page})


class Pair(NamedTuple):
    gate: Whole
    office: Page
    wiki: Page


@contextlib.contextmanager
def pair(folder: Path, clock: Clock | None = None) -> Iterator[Pair]:
    place = f"https://{NOTES}/_gate/"
    office, wiki = Page(), Page(f"script-src {place}; connect-src {place}")
    with serving(office) as first, serving(wiki) as second:
        upstream: Any = [
            {"name": "office", "url": f"http://127.0.0.1:{first}", "session_script": True},
            {
                "name": "wiki",
                "url": f"http://127.0.0.1:{second}",
                "at": [WIKI, NOTES, f"{OFFICE}/wiki"],
                "session_script": True,
            },
            {"name": "books", "url": f"http://127.0.0.1:{second}", "at": "/books", "audience": "the-books"},
        ]
        session = {"cookie_domain": "example.com", "keep_forms": True}
        with whole(folder, upstream, public_url=f"https://{OFFICE}", session=session, clock=clock) as gate:
            gate.add_user("ada")
            yield Pair(gate, office, wiki)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("pair")) as found:
        yield found


def test_a_policy_is_judged_by_the_host_that_the_page_is_on(both: Pair) -> None:
    """The same page of one application: on its first host the browser would refuse the script."""
    browser = Browser(both.gate.port)
    browser.sign_in(OFFICE)
    found = {
        place: bool(SCRIPT.search(browser.ask(*place).body))
        for place in ((OFFICE, "/"), (WIKI, "/"), (NOTES, "/"), (OFFICE, "/wiki"), (OFFICE, "/books"))
    }
    assert found == {
        (OFFICE, "/"): True,
        (WIKI, "/"): False,
        (NOTES, "/"): True,
        (OFFICE, "/wiki"): False,
        (OFFICE, "/books"): False,
    }


def test_each_application_is_told_in_its_own_name(both: Pair) -> None:
    browser = Browser(both.gate.port)
    browser.sign_in(WIKI)
    for host, path, page, audience in (
        (OFFICE, "/x", both.office, f"https://{OFFICE}"),
        (WIKI, "/x", both.wiki, f"https://{WIKI}"),
        (NOTES, "/x", both.wiki, f"https://{WIKI}"),
        (OFFICE, "/wiki/x", both.wiki, f"https://{WIKI}"),
        (OFFICE, "/books/x", both.wiki, "the-books"),
    ):
        page.seen.clear()
        assert browser.ask(host, path).status == 200
        assertion = page.seen[0][2][b"x-gatekeeper-assertion"].decode()
        keys = jwt.PyJWKSet.from_json(browser.ask(host, "/_gate/jwks.json").body)
        key = keys[jwt.get_unverified_header(assertion)["kid"]]
        claims = jwt.decode(assertion, key, ["ES256"], audience=audience, issuer=f"https://{OFFICE}")
        assert claims["aud"] == audience
        other = "the-books" if audience != "the-books" else f"https://{WIKI}"
        with pytest.raises(jwt.InvalidAudienceError):
            jwt.decode(assertion, key, ["ES256"], audience=other)


def test_a_kept_form_goes_to_the_host_that_it_was_sent_to_and_to_no_other(both: Pair) -> None:
    browser = Browser(both.gate.port)
    browser.sign_in(WIKI)
    assert browser.ask(WIKI, "/edit").status == 200

    async def end(services: Services) -> None:
        await services.sessions.end_user(1, EndReason.IDLE)

    both.gate.call(end)
    both.wiki.seen.clear()
    both.office.seen.clear()
    kept = browser.ask(WIKI, "/edit", "POST", "text=hello", Origin=f"https://{WIKI}", **SAME)
    assert kept.status == 303 and "/_gate/kept" in kept.headers["location"]
    assert browser.sign_in(WIKI, "/_gate/kept").headers["location"] == "/_gate/kept"
    found = re.search(r'name="gatekeeper_kept" value="([^"]+)"', browser.ask(WIKI, "/_gate/kept").body)
    assert found is not None
    body = f"gatekeeper_kept={found[1]}"
    assert "gatekeeper_kept" not in browser.ask(OFFICE, "/_gate/kept").body, "offered where it belongs alone"
    sent = browser.ask(WIKI, "/edit", "POST", body, Origin=f"https://{WIKI}", **SAME)
    assert sent.status == 200
    assert [(method, path, form) for method, path, _, form in both.wiki.seen if method == "POST"] == [
        ("POST", "/edit", b"text=hello")
    ]

    both.gate.call(end)
    browser.ask(WIKI, "/edit", "POST", "text=secret", Origin=f"https://{WIKI}", **SAME)
    browser.sign_in(WIKI, "/_gate/kept")
    found = re.search(r'name="gatekeeper_kept" value="([^"]+)"', browser.ask(WIKI, "/_gate/kept").body)
    assert found is not None
    body = f"gatekeeper_kept={found[1]}"
    elsewhere = browser.ask(OFFICE, "/edit", "POST", body, Origin=f"https://{OFFICE}", **SAME)
    assert (elsewhere.status, elsewhere.headers["location"]) == (303, "/_gate/kept")
    assert all(method == "GET" for method, *_ in both.office.seen)


def test_the_last_tab_of_one_host_leaves_time_for_the_tabs_of_another_to_be_heard(tmp_path: Path) -> None:
    """They do not know of each other, and browsers let those in the background speak once a minute."""
    clock = MovableClock()
    script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "X-Gatekeeper-Session": "1", **SAME}
    with pair(tmp_path, clock) as here:
        browser = Browser(here.gate.port)
        browser.sign_in(OFFICE)
        for host in (NOTES, OFFICE):
            assert browser.ask(host, "/").status == 200
            assert browser.ask(host, "/_gate/session", **script).status == 200
        clock.forward(55)
        assert browser.ask(OFFICE, "/_gate/session/closing?last=1", "POST", **script).status == 204
        clock.forward(60)
        assert browser.ask(NOTES, "/_gate/session/pulse", "POST", **script).status == 200
        clock.forward(100)
        assert browser.ask(NOTES, "/_gate/session/pulse", "POST", **script).status == 200
        for host in (OFFICE, NOTES):
            browser.ask(host, "/_gate/session/closing?last=1", "POST", **script)
        clock.forward(91)
        assert browser.ask(NOTES, "/_gate/session/pulse", "POST", **script).status == 401


def test_an_application_in_this_process_answers_for_those_of_a_list_without_an_address(
    tmp_path: Path,
) -> None:
    """And those with one are asked there: `Gatekeeper(app, settings)` takes the place of nobody else."""
    elsewhere, here = Page(), App()
    with serving(elsewhere) as port:
        settings = make_settings(
            {
                "public_url": f"https://{OFFICE}",
                "data_dir": str(tmp_path),
                "upstream": [
                    {"name": "here", "rules": [{"allow": "public"}]},
                    {
                        "name": "there",
                        "at": "/there",
                        "url": f"http://127.0.0.1:{port}",
                        "rules": [{"allow": "public"}],
                    },
                    {"name": "closed", "at": WIKI, "rules": [{"allow": "deny"}]},
                ],
            }
        )

        async def story() -> list[int]:
            gate = Gatekeeper(here, settings)
            async with gate.running():
                asked = ((OFFICE, "/x"), (OFFICE, "/there/x"), (WIKI, "/x"))
                return [await _status(gate, *place) for place in asked]

        assert asyncio.run(story()) == [200, 200, 403]
    assert [scope["path"] for scope in here.scopes] == ["/x"]
    assert [path for _, path, *_ in elsewhere.seen] == ["/there/x"]


def test_a_list_without_an_application_in_this_process_needs_every_address(tmp_path: Path) -> None:
    data = {"public_url": f"https://{OFFICE}", "data_dir": str(tmp_path), "upstream": [{"name": "here"}]}
    with pytest.raises(ValueError, match="no application to protect"):
        Gatekeeper(None, make_settings(data))


async def _status(gate: Gatekeeper, host: str, path: str) -> int:
    found: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "client": ("192.0.2.7", 4711),
        "server": ("127.0.0.1", 80),
    }
    await gate(scope, receive, send)
    return found[0]
