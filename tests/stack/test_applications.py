"""Two hosts, three applications, one Gatekeeper: who gets which request, and one sign-in for all of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.stack.whole import PASSWORD, Whole, whole
from tests.wall.recording import Recording, recording

OFFICE, WIKI = "office.example.com", "wiki.example.com"
NAVIGATE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str
    set_cookies: list[str]


class Browser:
    """Keeps cookies as a browser does: those with a Domain for all hosts below it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.jar: dict[tuple[str, str], str] = {}

    def ask(self, host: str, path: str, method: str = "GET", body: str = "", **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        with contextlib.closing(connection):
            sent = {
                "Host": host,
                **NAVIGATE,
                **{name.replace("_", "-"): value for name, value in headers.items()},
            }
            fitting = [
                f"{name}={value}"
                for (place, name), value in self.jar.items()
                if value and (host == place or (place.startswith(".") and host.endswith(place)))
            ]
            if fitting:
                sent["Cookie"] = "; ".join(fitting)
            if body:
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body.encode() if body else None, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            set_cookies = answer.headers.get_all("set-cookie") or []
        for line in set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            domain = re.search("; Domain=([^;]+)", line)
            self.jar["." + domain[1] if domain else host, name] = value
        return Reply(
            answer.status, {name.lower(): value for name, value in answer.headers.items()}, text, set_cookies
        )

    def post(self, host: str, page: str, fields: str = "", **headers: str) -> Reply:
        """The form of one of our pages."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.ask(host, page).body)
        assert found is not None
        body = f"csrf={found[1]}&{fields}"
        return self.ask(host, page.partition("?")[0], "POST", body, Origin=f"https://{host}", **headers)

    def sign_in(self, host: str, back: str = "/", login: str = "ada") -> Reply:
        return self.post(
            host, "/_gate/login", f"login={login}&password={PASSWORD.replace(' ', '+')}&next={back}"
        )


class House(NamedTuple):
    gate: Whole
    front: Recording
    reports: Recording
    wiki: Recording

    def heard(self) -> list[str]:
        """Which applications were asked for what since the last time."""
        found = []
        for name in ("front", "reports", "wiki"):
            recorded: Recording = getattr(self, name)
            found += [f"{name} {arrived.target.decode()}" for arrived in recorded.arrived]
            recorded.clear()
        return found


@contextlib.contextmanager
def house(folder: Path, **settings: Any) -> Iterator[House]:
    with recording() as front, recording() as reports, recording() as wiki:
        upstream: Any = [
            {"name": "front", "url": f"http://127.0.0.1:{front.port}"},
            {
                "name": "reports",
                "url": f"http://127.0.0.1:{reports.port}",
                "at": "/reports",
                "allow_in_path": ["%2F", ";"],
                "rules": [{"path": "/reports/open/**", "allow": "public"}, {"allow": {"roles": "audit"}}],
            },
            {"name": "wiki", "url": f"http://127.0.0.1:{wiki.port}", "at": WIKI, "case_insensitive": True},
        ]
        common: dict[str, Any] = {
            "public_url": f"https://{OFFICE}",
            "rules": [{"path": "/open/**", "allow": "public"}, {"path": "/secret/**", "allow": "deny"}],
        }
        with whole(folder, upstream, **(common | settings)) as gate:
            gate.add_user("ada", "audit")
            yield House(gate, front, reports, wiki)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("shared"), session={"cookie_domain": "example.com"}) as found:
        yield found


@pytest.mark.parametrize(
    ("host", "path", "status", "heard"),
    [
        (OFFICE, "/open/x?y=1", 200, ["front /open/x?y=1"]),
        (OFFICE, "/reports/open/x", 200, ["reports /reports/open/x"]),
        (OFFICE, "/%72eports/open/x", 200, ["reports /%72eports/open/x"]),
        (OFFICE, "/reports/open/a%2Fb;c", 200, ["reports /reports/open/a%2Fb;c"]),
        (OFFICE, "/open/a%2Fb", 400, []),  # what reports may, the front may not
        (OFFICE, "/open/a;b", 400, []),
        (OFFICE, "/reports%2Fopen/x", 400, []),  # whose would that be?
        (OFFICE, "/reports;x/open/y", 400, []),
        (OFFICE, "/reports2", 303, []),
        (OFFICE, "/secret", 403, []),
        (OFFICE, "/SECRET", 303, []),
        (WIKI, "/SECRET", 403, []),  # the wiki does not tell them apart
        (WIKI, "/Open/x", 200, ["wiki /Open/x"]),
        (WIKI, "/reports/open/x", 303, []),
        ("other.example.com", "/open/x", 421, []),
    ],
)
def test_each_request_goes_to_its_application_and_by_its_rules(
    shared: House, host: str, path: str, status: int, heard: list[str]
) -> None:
    shared.heard()
    assert Browser(shared.gate.port).ask(host, path).status == status
    assert shared.heard() == heard


def test_one_sign_in_opens_every_host_and_signing_out_closes_them_all(shared: House) -> None:
    browser = Browser(shared.gate.port)
    asked = browser.ask(WIKI, "/page?x=1")
    assert (asked.status, asked.headers["location"]) == (303, "/_gate/login?next=/page%3Fx%3D1")
    answer = browser.sign_in(WIKI, "/page")
    assert (answer.status, answer.headers["location"]) == (303, "/page"), "back to where it happened"
    (cookie,) = [line for line in answer.set_cookies if line.startswith("__Secure-gatekeeper=")]
    assert "; Domain=example.com" in cookie and "; Secure" in cookie and "; HttpOnly" in cookie
    assert all(
        "Domain=" not in line for line in answer.set_cookies if not line.startswith("__Secure-gatekeeper=")
    )
    shared.heard()
    assert [
        browser.ask(*place).status for place in ((WIKI, "/page"), (OFFICE, "/"), (OFFICE, "/reports/1"))
    ] == [200] * 3
    (arrived,) = shared.wiki.arrived
    assert b"remote-user: ada" in arrived.head.lower() and b"cookie" not in arrived.head.lower()
    assert shared.heard() == ["front /", "reports /reports/1", "wiki /page"]
    held = dict(browser.jar)

    assert browser.post(OFFICE, "/_gate/logout").headers["location"] == "/_gate/signed-out"
    assert browser.jar[".example.com", "__Secure-gatekeeper"] == ""
    browser.jar = held  # a browser that forgot to forget
    assert [browser.ask(*place).status for place in ((WIKI, "/page"), (OFFICE, "/"))] == [303, 303]


def test_a_form_of_one_host_is_not_believed_on_another(shared: House) -> None:
    """Browsers call hosts of one domain the same site: SameSite does not keep them apart."""
    browser = Browser(shared.gate.port)
    browser.sign_in(OFFICE)
    page = browser.ask(OFFICE, "/_gate/logout").body
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    body = f"csrf={found[1]}"
    for headers in ({"Origin": f"https://{WIKI}"}, {"Sec-Fetch-Site": "same-site"}):
        assert browser.ask(OFFICE, "/_gate/logout", "POST", body, **headers).status == 403
    assert browser.ask(OFFICE, "/").status == 200
    assert browser.ask(OFFICE, "/_gate/logout", "POST", body, Origin=f"https://{OFFICE}").status == 303


def test_a_websocket_is_opened_by_its_own_host_alone(shared: House) -> None:
    browser = Browser(shared.gate.port)
    browser.sign_in(OFFICE)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    refused = browser.ask(WIKI, "/live", **upgrade, **key, Origin=f"https://{OFFICE}")
    assert (refused.status, json.loads(refused.body)["error"]) == (403, "foreign_origin")
    shared.heard()
    browser.ask(WIKI, "/live", **upgrade, **key, Origin=f"https://{WIKI}")
    assert shared.heard() == ["wiki /live"]


def test_without_a_shared_domain_each_host_asks_for_itself(tmp_path: Path) -> None:
    with house(tmp_path) as found:
        browser = Browser(found.gate.port)
        answer = browser.sign_in(WIKI)
        (cookie,) = [line for line in answer.set_cookies if line.startswith("__Host-gatekeeper=")]
        assert "Domain=" not in cookie
        assert browser.ask(WIKI, "/").status == 200
        assert browser.ask(OFFICE, "/").status == 303


def test_what_no_application_has_is_a_page_of_nobody(tmp_path: Path) -> None:
    with recording() as only:
        upstream: Any = {"url": f"http://127.0.0.1:{only.port}", "at": "/app", "rules": [{"allow": "public"}]}
        with whole(tmp_path, upstream, public_url=f"https://{OFFICE}") as gate:
            browser = Browser(gate.port)
            assert browser.ask(OFFICE, "/app/x").status == 200
            assert browser.ask(OFFICE, "/").status == 404
            assert browser.ask(OFFICE, "/application").status == 404
            assert browser.ask(OFFICE, "/_gate/login").status == 200, "our own pages are everywhere"
            assert [arrived.target for arrived in only.arrived] == [b"/app/x"]
