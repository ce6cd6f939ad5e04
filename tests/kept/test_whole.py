"""A form sent into an ended session, through all of Gatekeeper: kept, shown, sent once, or gone."""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from gatekeeper.build.services import Services
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.session import EndReason
from gatekeeper.demo.serving import serving
from gatekeeper.storage.tables import audit_events, kept_forms
from tests.accounts.support import SECRET
from tests.servers.databases import settings_for
from tests.stack.whole import PASSWORD, Whole, whole

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
FORM = {**PAGE, "Content-Type": "application/x-www-form-urlencoded"}
BODY = b"customer=Tea+%26+Co&csrf=4711&note=%FF%00"
KEY = re.compile(rb'name="gatekeeper_kept" value="([A-Za-z0-9_-]{43})"')
CSRF = re.compile(rb'name="csrf" value="([^"]+)"')


class Application:
    """Remembers what was posted, byte for byte."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes, dict[bytes, bytes], bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if scope["method"] != "GET":
            self.posted.append((scope["method"], target, dict(scope["headers"]), bytes(body)))
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-application", b"1")]})
        await send({"type": "http.response.body", "body": b"created"})


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Got:
    def __init__(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.status = response.status
        self.location = response.headers.get("location", "")
        self.set_cookies = response.headers.get_all("set-cookie", [])
        self.body = body


class Browser:
    """Cookies, and nothing else of a browser."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = PAGE) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", self.house.gate.port, timeout=30)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with contextlib.closing(connection):
            connection.request(method, path, body, {**headers, "Cookie": cookie})
            response = connection.getresponse()
            got = Got(response, response.read())
        for field in got.set_cookies:
            name, _, value = field.partition(";")[0].partition("=")
            self.cookies[name] = value
        return got

    def has_session_of(self, login: str) -> None:
        name, _, value = self.house.gate.cookie(self.house.users[login]).partition("=")
        self.cookies[name] = value

    def signs_in(self, login: str, at: str = "/_gate/login?next=/_gate/kept") -> Got:
        """By the form, as a person does."""
        found = CSRF.search(self.ask("GET", at).body)
        assert found is not None
        fields = {"login": login, "password": PASSWORD, "csrf": found[1].decode(), "next": "/_gate/kept"}
        return self.ask("POST", "/_gate/login", urlencode(fields).encode(), FORM)

    def keys(self) -> list[bytes]:
        got = self.ask("GET", "/_gate/kept")
        assert got.status == 200
        return KEY.findall(got.body)

    def sends(self, target: str, key: bytes) -> Got:
        return self.ask("POST", target, b"gatekeeper_kept=" + key, FORM)


class House:
    """A whole Gatekeeper that keeps forms, in front of an application."""

    def __init__(self, gate: Whole, application: Application, clock: Clock) -> None:
        self.gate = gate
        self.application = application
        self.clock = clock
        self.users = {login: gate.add_user(login, "clerks") for login in ("pat", "sam")}

    def browser(self, login: str = "") -> Browser:
        found = Browser(self)
        if login:
            found.has_session_of(login)
        return found

    def rows(self) -> int:
        async def count(services: Services) -> int:
            async with services.db.read() as conn:
                return int(await conn.scalar(sa.select(sa.func.count()).select_from(kept_forms)) or 0)

        return self.gate.call(count)

    def kept(self, login: str = "pat", target: str = "/orders/new?x=1", body: bytes = BODY) -> Browser:
        """A browser whose form was kept, not signed in again yet."""
        browser = self.browser(login)
        assert browser.ask("GET", "/").status == 201
        self.clock.ahead += 601.0
        assert browser.ask("POST", target, body, FORM).location.startswith("/_gate/login?next=/_gate/kept")
        return browser


@contextlib.contextmanager
def house(folder: Path, **more: Any) -> Iterator[House]:
    clock, application = Clock(), Application()
    session = {"idle_timeout": "10m", "keep_forms": True, **more.pop("session", {})}
    with serving(application) as port:
        upstream = {"url": f"http://127.0.0.1:{port}", **more.pop("upstream", {})}
        settings: dict[str, Any] = {
            "clock": clock,
            "session": session,
            "secret": SECRET,
            **settings_for(folder),
            **more,
        }
        with whole(folder, upstream, **settings) as gate:
            yield House(gate, application, clock)


def test_it_is_kept_shown_and_sent_once_as_it_was(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.browser("pat")
        browser.ask("GET", "/")
        here.clock.ahead += 601.0
        got = browser.ask("POST", "/orders/new?x=1", BODY, FORM)
        assert (got.status, got.location) == (303, "/_gate/login?next=/_gate/kept&ended=idle")
        assert b"is kept for 15 minutes" in browser.ask("GET", got.location).body
        assert here.application.posted == []

        assert browser.signs_in("pat", got.location).location == "/_gate/kept"
        page = browser.ask("GET", "/_gate/kept").body
        assert b"<li>customer</li>" in page
        assert b"<li>note</li>" in page
        assert b"Tea" not in page
        assert b"4711" not in page
        assert b'action="/orders/new?x=1"' in page
        assert here.application.posted == []  # nothing is sent by itself

        [key] = browser.keys()
        got = browser.sends("/orders/new?x=1", key)
        assert (got.status, got.body) == (201, b"created")
        [(method, target, headers, body)] = here.application.posted
        assert (method, target, body) == ("POST", b"/orders/new?x=1", BODY)
        assert headers[b"content-type"] == FORM["Content-Type"].encode()
        assert headers[b"content-length"] == b"%d" % len(BODY)
        assert headers[b"remote-user"] == b"pat"
        assert b"gatekeeper_kept" not in headers.get(b"cookie", b"")

        assert browser.sends("/orders/new?x=1", key).location == "/_gate/kept"
        assert len(here.application.posted) == 1
        assert here.rows() == 0


def test_ten_megabytes_with_two_files_arrive_byte_for_byte(tmp_path: Path) -> None:
    files = [bytes(range(256)) * 19_000, b"\r\n--x\r\n\0" * 600_000]
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="file%d"; filename="f"\r\n\r\n%b\r\n' % (at, content)
        for at, content in enumerate(files)
    ]
    body = b"".join(parts) + b"--x--\r\n"
    assert 9_000_000 < len(body) < 10_000_000
    with house(tmp_path) as here:
        browser = here.browser("pat")
        here.clock.ahead += 601.0
        form = {**PAGE, "Content-Type": "multipart/form-data; boundary=x"}
        browser.ask("POST", "/upload", body, form)
        browser.signs_in("pat")
        [key] = browser.keys()
        assert browser.sends("/upload", key).status == 201
        [(_, _, headers, received)] = here.application.posted
        assert received == body
        assert headers[b"content-type"] == b"multipart/form-data; boundary=x"


@pytest.mark.databases
def test_fifty_sends_at_once_send_once(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        [key] = browser.keys()
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: browser.sends("/orders/new?x=1", key).status, range(50)))
        assert sorted(answers) == [201] + [303] * 49
        assert len(here.application.posted) == 1


def test_somebody_else_in_the_same_browser_never_sees_it_and_it_is_gone(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("sam")
        assert browser.keys() == []
        assert here.rows() == 0
        browser.has_session_of("pat")
        assert browser.keys() == []


def test_the_key_alone_sends_nothing_and_the_form_is_gone(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        for thief in ("pat", "sam"):  # the same person elsewhere, and another one
            browser = here.kept()
            browser.signs_in("pat")
            [key] = browser.keys()
            assert here.browser(thief).sends("/orders/new?x=1", key).location == "/_gate/kept"
            assert browser.keys() == []
            assert browser.sends("/orders/new?x=1", key).location == "/_gate/kept"
        assert here.application.posted == []


def test_another_site_cannot_send_it(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        [key] = browser.keys()
        foreign = {**FORM, "Sec-Fetch-Site": "cross-site"}
        got = browser.ask("POST", "/orders/new?x=1", b"gatekeeper_kept=" + key, foreign)
        assert (got.location, here.application.posted) == ("/_gate/kept", [])
        assert browser.keys() == [key]


def test_it_is_sent_nowhere_else(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        [key] = browser.keys()
        assert browser.sends("/orders/new?x=2", key).location == "/_gate/kept"
        assert here.application.posted == []
        assert here.rows() == 0


def test_after_a_quarter_of_an_hour_it_is_erased(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        [key] = browser.keys()
        here.clock.ahead += 900.0
        browser.has_session_of("pat")
        assert browser.keys() == []
        assert browser.sends("/orders/new?x=1", key).location == "/_gate/kept"
        assert (here.application.posted, here.rows()) == ([], 0)
        here.kept()
        here.clock.ahead += 900.0
        here.gate.call(_clean)
        assert here.rows() == 0


async def _clean(services: Services) -> None:
    assert services.kept_forms is not None
    await services.kept_forms.clean()


@pytest.mark.parametrize("column", ["summary", "content"])
def test_what_was_changed_in_the_database_is_refused_and_gone(tmp_path: Path, column: str) -> None:
    async def swap(services: Services) -> None:
        """Two forms of one person change places: everything is genuine, but not in its row."""
        async with services.db.begin() as conn:
            rows = (await conn.execute(sa.select(kept_forms.c.key, kept_forms.c[column]))).all()
            for (key, _), (_, content) in zip(rows, reversed(rows), strict=True):
                await conn.execute(
                    sa.update(kept_forms).where(kept_forms.c.key == key).values({column: content})
                )

    with house(tmp_path) as here:
        browser = here.kept()
        assert browser.ask("POST", "/orders/new?x=1", b"other=1", FORM).status == 303
        browser.signs_in("pat")
        keys = browser.keys()
        assert len(keys) == 2
        here.gate.call(swap)
        for key in keys:
            assert browser.sends("/orders/new?x=1", key).location == "/_gate/kept"
        assert (here.application.posted, here.rows()) == ([], 0)


@pytest.mark.sqlite
def test_nothing_of_it_can_be_read_in_the_database(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        here.kept(body=b"customer=Rosebud", target="/canary")
    for file in tmp_path.glob("gatekeeper.db*"):
        data = file.read_bytes()
        assert b"Rosebud" not in data
        assert b"customer" not in data


def test_discarding_erases_it(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        page = browser.ask("GET", "/_gate/kept").body
        [key] = KEY.findall(page)
        csrf = CSRF.search(page)
        assert csrf is not None
        fields = urlencode({"csrf": csrf[1].decode(), "form": key.decode()}).encode()
        assert browser.ask("POST", "/_gate/kept", fields, FORM).location == "/_gate/kept?done=1"
        assert here.rows() == 0
        assert b"The form was discarded" in browser.ask("GET", "/_gate/kept?done=1").body


def test_the_rules_are_asked_when_it_is_sent(tmp_path: Path) -> None:
    rules = [{"path": "/pay", "allow": {"two_factor": True}}, {"path": "/no", "allow": "deny"}]
    with house(tmp_path, rules=rules) as here:
        browser = here.browser("pat")
        here.clock.ahead += 601.0
        assert "next=/_gate/kept" in browser.ask("POST", "/pay", BODY, FORM).location
        assert browser.ask("POST", "/no", BODY, FORM).status == 403
        browser.signs_in("pat")
        [key] = browser.keys()
        came_from = {**FORM, "Referer": f"http://{here.gate.host}/_gate/kept"}
        got = browser.ask("POST", "/pay", b"gatekeeper_kept=" + key, came_from)
        assert got.location.startswith("/_gate/2fa/setup?next=/_gate/kept")
        assert here.application.posted == []
        assert browser.keys() == [key]  # still there for when the factor is proved


def test_sending_with_a_session_that_ended_again_keeps_it_where_it_is(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        [key] = browser.keys()
        here.clock.ahead += 601.0
        assert "next=/_gate/kept" in browser.sends("/orders/new?x=1", key).location
        browser.signs_in("pat")
        assert browser.keys() == [key]


def test_an_application_that_cannot_be_reached_does_not_cost_the_form(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        clock = Clock()
        with whole(tmp_path, dead, clock=clock, session={"idle_timeout": "10m", "keep_forms": True}) as gate:
            here = House(gate, Application(), clock)
            browser = here.browser("pat")
            clock.ahead += 601.0
            browser.ask("POST", "/orders", BODY, FORM)
            browser.signs_in("pat")
            [key] = browser.keys()
            assert browser.sends("/orders", key).status == 502
            [again] = browser.keys()
            assert again != key


@pytest.mark.parametrize(
    "headers",
    [
        {**FORM, "Sec-Fetch-Site": "cross-site"},
        {**FORM, "Sec-Fetch-Site": "same-site"},
        {**FORM, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {**FORM, "Content-Type": "text/plain"},
        {**FORM, "Content-Type": "application/json"},
        {"Accept": "text/html", "Content-Type": FORM["Content-Type"]},
        {"Accept": "text/html", "Content-Type": FORM["Content-Type"], "Origin": "https://evil.example"},
        {"Accept": "text/html", "Content-Type": FORM["Content-Type"], "Origin": "null"},
    ],
)
def test_what_is_no_form_of_the_application_is_not_kept(tmp_path: Path, headers: dict[str, str]) -> None:
    with house(tmp_path) as here:
        browser = here.browser("pat")
        here.clock.ahead += 601.0
        assert "kept" not in browser.ask("POST", "/orders", BODY, headers).location
        assert here.rows() == 0


def test_only_a_session_that_ended_by_itself_a_short_while_ago_counts(tmp_path: Path) -> None:
    async def sign_out(services: Services) -> None:
        await services.sessions.end_user(here.users["pat"], EndReason.SIGNED_OUT)

    with house(tmp_path, session={"keep_forms_max": "1KB"}) as here:
        stranger = here.browser()
        assert "kept" not in stranger.ask("POST", "/orders", BODY, FORM).location
        out = here.browser("pat")
        here.gate.call(sign_out)
        assert "kept" not in out.ask("POST", "/orders", BODY, FORM).location
        late = here.browser("pat")
        here.clock.ahead += 601.0
        assert late.ask("GET", "/orders").status == 303  # found to be over now
        here.clock.ahead += 901.0
        assert "kept" not in late.ask("POST", "/orders", BODY, FORM).location
        large = here.browser("pat")
        here.clock.ahead += 601.0
        assert "kept" not in large.ask("POST", "/orders", b"x=" + b"y" * 1000, FORM).location
        assert "kept" in large.ask("POST", "/orders", b"x=" + b"y" * 998, FORM).location
        assert here.rows() == 1


def test_a_browser_without_fetch_metadata_is_known_by_its_origin(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.browser("pat")
        here.clock.ahead += 601.0
        old = {"Accept": "text/html", "Content-Type": FORM["Content-Type"]}
        assert (
            "kept" in browser.ask("POST", "/", BODY, {**old, "Origin": f"http://{here.gate.host}"}).location
        )


def test_one_person_fills_no_database(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.browser("pat")
        here.clock.ahead += 601.0
        for at in range(7):
            browser.ask("POST", f"/orders/{at}", BODY, FORM)
        assert here.rows() == 5
        browser.signs_in("pat")
        page = browser.ask("GET", "/_gate/kept").body
        assert b'action="/orders/6"' in page
        assert b'action="/orders/1"' not in page


def test_when_there_is_no_room_left_nothing_more_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.accounts.kept_forms.IN_ALL", 1)
    with house(tmp_path, session={"keep_forms_max": "1KB"}) as here:
        browsers = [here.browser(login) for login in ("pat", "sam")]
        here.clock.ahead += 601.0
        answers = [browser.ask("POST", "/", b"x=" + b"y" * 600, FORM) for browser in browsers]
        assert ["kept" in answer.location for answer in answers] == [True, False]
        assert here.rows() == 1


def test_a_form_of_the_same_length_is_the_applications_own(tmp_path: Path) -> None:
    with house(tmp_path) as here:
        browser = here.browser("pat")
        body = b"gatekeeper_kept=" + b"!" * 43
        assert browser.ask("POST", "/orders", body, FORM).status == 201
        assert here.application.posted[0][3] == body


def test_switched_off_nothing_is_kept_and_there_is_no_page(tmp_path: Path) -> None:
    with house(tmp_path, session={"keep_forms": False}) as here:
        browser = here.browser("pat")
        assert browser.ask("GET", "/_gate/kept").status == 404
        here.clock.ahead += 601.0
        assert browser.ask("POST", "/orders", BODY, FORM).location == "/_gate/login?ended=idle"
        assert here.rows() == 0


def test_it_is_in_the_audit_log(tmp_path: Path) -> None:
    async def events(services: Services) -> list[tuple[str, int | None, Any]]:
        query = sa.select(audit_events.c.kind, audit_events.c.user_id, audit_events.c.details)
        async with services.db.read() as conn:
            found = await conn.execute(query.where(audit_events.c.kind.like("form.%")))
            return [(kind, user, details) for kind, user, details in found]

    with house(tmp_path) as here:
        browser = here.kept()
        browser.signs_in("pat")
        browser.sends("/orders/new?x=1", browser.keys()[0])
        details = {"path": "/orders/new", "size": len(BODY)}
        assert here.gate.call(events) == [
            ("form.kept", here.users["pat"], details),
            ("form.sent", here.users["pat"], details),
        ]


def _begin_upload(browser: Browser, size: int) -> socket.socket:
    """A form of which nothing but the first byte ever arrives."""
    port = browser.house.gate.port
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    fields = {**FORM, "Host": f"127.0.0.1:{port}", "Cookie": cookie, "Content-Length": str(size)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    upload = socket.create_connection(("127.0.0.1", port), 20)
    upload.sendall(f"POST /orders HTTP/1.1\r\n{head}\r\nx".encode())
    return upload


def test_one_person_fills_no_memory_with_forms_that_never_end(tmp_path: Path) -> None:
    """Two of the largest size are read at once: a third is answered without, a small one is kept."""
    with house(tmp_path) as here, contextlib.ExitStack() as cleanup:
        browser = here.browser("pat")
        browser.ask("GET", "/")
        here.clock.ahead += 601.0
        uploads = [cleanup.enter_context(_begin_upload(browser, 9_000_000)) for _ in range(3)]
        answered, _, _ = select.select(uploads, [], [], 20)
        assert len(answered) == 1
        assert b"location: /_gate/login?ended=idle" in answered[0].recv(1000)
        assert "kept" in browser.ask("POST", "/orders", BODY, FORM).location
        assert here.rows() == 1


def test_a_form_that_does_not_arrive_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.gate.kept.READ_SECONDS", 0.2)
    with house(tmp_path) as here:
        browser = here.browser("pat")
        browser.ask("GET", "/")
        here.clock.ahead += 601.0
        with _begin_upload(browser, 1_000) as upload:
            assert b"location: /_gate/login?ended=idle" in upload.recv(1000)
        assert here.rows() == 0


def test_a_path_with_two_slashes_is_not_taken_for_another_host(tmp_path: Path) -> None:
    with house(tmp_path, upstream={"allow_in_path": ["//"]}) as here:
        browser = here.kept(target="//evil.example/x")
        browser.signs_in("pat")
        page = browser.ask("GET", "/_gate/kept").body
        assert b'action="/.//evil.example/x"' in page  # browsers resolve the dot: the same path, here
        assert browser.sends("//evil.example/x", KEY.findall(page)[0]).status == 201
