"""The shell: what is answered to whom, what reaches the application, and that it fails closed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.clock import Clock
from gatekeeper.core.context import RequestContext
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.errors import StoreUnavailable, UpstreamFailure
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.policy import NOBODY, PUBLIC, Rule, compile_glob, make_allow, make_policy, make_rule
from gatekeeper.core.protocols import Message, Receive, Scope, Send
from gatekeeper.core.session import EndReason, Session, SessionRecord, UserRecord
from gatekeeper.core.target import Leniency
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.line import Line
from gatekeeper.gate.shell import Gate

ORIGIN = "https://office.example.com"
NAMES = CookieNames.make("gatekeeper", secure=True)
NAVIGATE = [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document")]
FETCH = [(b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty")]


def session_of(login: str, *roles: str, step: str = "") -> Session:
    user = UserRecord(1, login, login.title(), f"{login}@example.com", roles, False, 0)
    record = SessionRecord(login.encode().ljust(32), 1, 0, 0.0, 0.0, False, "pwd", 1.0, 0.0, "", "")
    return Session(record, user, step, ((b"remote-user", login.encode()),))


class Guard:
    """Stands for the session manager: cookies are names."""

    def __init__(self) -> None:
        self.known: dict[bytes, Session | EndReason] = {
            b"ada": session_of("ada", "ops"),
            b"eve": session_of("eve", "audit"),
            b"half": session_of("half", "ops", step="second_factor"),
            b"idle": EndReason.IDLE,
        }
        self.touched: list[str] = []
        self.used_by: list[tuple[str, bool]] = []
        self.watching: list[Callable[[], None]] = []
        self.down = False
        self.cached = False

    def peek(self, cookie: bytes, now: float) -> Session | EndReason | None:
        return self.known.get(cookie) if self.cached else None

    async def load(self, cookie: bytes, now: float) -> Session | EndReason:
        if self.down:
            raise StoreUnavailable("down")
        return self.known.get(cookie, EndReason.UNKNOWN)

    def touch(self, session: Session, now: float) -> None:
        self.touched.append(session.user.login)

    def used(self, session: Session, now: float, *, navigation: bool) -> None:
        self.used_by.append((session.user.login, navigation))

    def watch(self, session: Session, on_revoked: Callable[[], None]) -> Callable[[], None]:
        self.watching.append(on_revoked)
        return lambda: self.watching.remove(on_revoked)


class App:
    """The protected application: records what reached it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.behaviour: Callable[[Scope, Receive, Send], Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if self.behaviour is not None:
            await self.behaviour(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": b"the application"})


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    context: RequestContext = scope["gatekeeper"]
    status = context.refusal.status if context.refusal else 200
    body = context.refusal.reason.encode() if context.refusal else b"own page"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Bench:
    def __init__(
        self,
        *rules: Rule,
        config: GateConfig | None = None,
        app: App | None = None,
        clock: Clock = lambda: 1000.0,
        background_paths: tuple[re.Pattern[str], ...] = (),
        scripted: Callable[[], bool] | None = None,
        **changes: Any,
    ) -> None:
        self.app, self.guard = app or App(), Guard()
        self.lines: list[Line] = []
        self.errors: list[BaseException] = []
        policy = make_policy(rules)
        settings: dict[str, Any] = {
            "prefix": "/_gate",
            "scheme": "https",
            "hosts": OurHosts(["office.example.com"], "https"),
            "public_origins": frozenset([ORIGIN]),
            "proxies": TrustedProxies(),
            "cookies": NAMES,
        }
        if config is None:
            application = Application(
                policy=policy,
                leniency=Leniency(),
                request_headers=RequestHeaders(
                    identity_names=["Remote-User"],
                    own_cookies=NAMES.all_spellings(),
                    scheme="https",
                    drop_overrides=policy.uses_methods,
                ),
                app=self.app,
                background_paths=background_paths,
                scripted=scripted,
            )
            settings |= changes
            hosts = [origin.rpartition("/")[2] for origin in settings["public_origins"]]
            places = Applications(Place(host, "/", application) for host in hosts)
            config = GateConfig(**settings, applications=places)
        self.gate = Gate(
            pages=pages,
            guard=self.guard,
            config=config,
            clock=clock,
            on_line=self.lines.append,
            on_error=lambda _request_id, error: self.errors.append(error),
        )

    def ask(
        self,
        path: str,
        *,
        cookie: str = "",
        headers: Sequence[tuple[bytes, bytes]] = NAVIGATE,
        method: str = "GET",
        kind: str = "http",
        host: bytes = b"office.example.com",
        client: str = "192.0.2.7",
    ) -> Reply:
        raw, _, query = path.partition("?")
        scope: Scope = {
            "type": kind,
            "http_version": "1.1",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", host), *headers],
            "client": (client, 5),
            "extensions": {"websocket.http.response": {}},
        }
        if cookie:
            scope["headers"].append((b"cookie", f"{NAMES.session}={cookie}".encode()))
        reply = Reply()
        asyncio.run(self._run(scope, reply))
        return reply

    async def _run(self, scope: Scope, reply: Reply) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        try:
            await self.gate(scope, receive, reply.send)
        except Exception as error:
            reply.raised = error


class Reply:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.close: int | None = None
        self.raised: Exception | None = None

    async def send(self, message: Message) -> None:
        if message["type"].endswith("response.start"):
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"].endswith("response.body"):
            self.body += message.get("body", b"")
        elif message["type"] == "websocket.close":
            self.close = message["code"]


def test_a_navigation_without_a_session_goes_to_sign_in_and_back() -> None:
    reply = Bench().ask("/orders/17?sort=date&x=%2F")
    assert reply.status == 303
    assert reply.headers["location"] == "/_gate/login?next=/orders/17%3Fsort%3Ddate%26x%3D%252F"
    assert reply.headers["cache-control"] == "no-store"


def test_a_script_without_a_session_gets_a_401_that_remembers_no_page() -> None:
    bench = Bench()
    reply = bench.ask("/api/orders?secret=1", headers=FETCH)
    assert reply.status == 401
    assert json.loads(reply.body)["error"] == "unauthenticated"
    assert json.loads(reply.body)["sign_in"] == "/_gate/login"
    assert bench.app.scopes == []


def test_a_websocket_without_a_session_is_refused() -> None:
    bench = Bench()
    assert bench.ask("/live", kind="websocket").status == 401
    assert bench.app.scopes == []


def test_an_ended_session_says_why() -> None:
    assert Bench().ask("/", cookie="idle").headers["location"] == "/_gate/login?ended=idle"
    assert json.loads(Bench().ask("/", cookie="idle", headers=FETCH).body)["error"] == "session_idle"


def test_a_post_without_a_session_returns_to_the_page_the_form_was_on() -> None:
    for referer, location in [
        (ORIGIN + "/orders/new?c=1", "/_gate/login?next=/orders/new%3Fc%3D1"),
        ("https://evil.example/x", "/_gate/login"),
        ("https://office.example.com.evil.example/x", "/_gate/login"),
    ]:
        headers = [*NAVIGATE, (b"referer", referer.encode())]
        reply = Bench().ask("/orders", method="POST", headers=headers)
        assert (reply.status, reply.headers["location"]) == (303, location)


def test_a_signed_in_person_reaches_the_application_by_name() -> None:
    bench = Bench()
    headers = [
        *NAVIGATE,
        (b"remote-user", b"root"),
        (b"remote_user", b"root"),
        (b"x-forwarded-for", b"1.1.1.1"),
    ]
    assert bench.ask("/orders", cookie="ada", headers=headers).body == b"the application"
    [scope] = bench.app.scopes
    arrived = [pair for pair in scope["headers"] if b"user" in pair[0]]
    assert arrived == [(b"remote-user", b"ada")]
    assert dict(scope["headers"])[b"x-forwarded-for"] == b"192.0.2.7"
    assert b"cookie" not in dict(scope["headers"])
    assert scope["raw_path"] == b"/orders"
    assert bench.guard.touched == ["ada"]


def test_half_signed_in_is_nobody_even_on_public_paths() -> None:
    bench = Bench(make_rule("/open", None, PUBLIC))
    assert bench.ask("/orders", cookie="half").status == 303
    assert bench.ask("/open", cookie="half").status == 200
    assert b"remote-user" not in dict(bench.app.scopes[0]["headers"])


def test_roles_and_denials_are_403_and_never_loop_to_sign_in() -> None:
    bench = Bench(make_rule("/pay", None, make_allow(roles=["ops"])), make_rule("/no", None, NOBODY))
    assert bench.ask("/pay", cookie="ada").status == 200
    assert (bench.ask("/pay", cookie="eve").status, bench.ask("/pay", cookie="eve").body) == (
        403,
        b"forbidden",
    )
    assert bench.ask("/pay").status == 303
    assert (bench.ask("/no", cookie="ada").status, bench.ask("/no").body) == (403, b"denied")


def test_polling_is_no_activity() -> None:
    bench = Bench(background_paths=(compile_glob("/poll/**"),))
    bench.ask("/poll/1", cookie="ada")
    assert bench.guard.touched == []


CLICK = [*NAVIGATE, (b"sec-fetch-user", b"?1")]


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        (CLICK, True),
        (NAVIGATE, False),  # a page that reloads itself
        (FETCH, False),
        ([(b"accept", b"text/html")], True),  # a browser that says nothing of whose doing it is
        ([(b"accept", b"application/json")], False),
    ],
)
def test_with_the_session_script_only_what_a_person_did_is_activity(
    headers: list[tuple[bytes, bytes]], counts: bool
) -> None:
    bench = Bench(scripted=lambda: True)
    assert bench.ask("/", cookie="ada", headers=headers).status == 200
    assert bench.guard.touched == (["ada"] if counts else [])


def test_where_the_session_script_cannot_run_every_request_is_activity() -> None:
    bench = Bench(scripted=lambda: False)
    bench.ask("/data", cookie="ada", headers=FETCH)
    assert bench.guard.touched == ["ada"]


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/a/../b", b"office.example.com", 400),
        ("/a%2Fb", b"office.example.com", 400),
        ("/", b"evil.example", 421),
        ("/_gate/login", b"evil.example", 421),
    ],
)
def test_what_cannot_be_read_one_way_reaches_nobody(path: str, host: bytes, status: int) -> None:
    bench = Bench(make_rule(None, None, PUBLIC))
    assert bench.ask(path, cookie="ada", host=host).status == status
    assert bench.app.scopes == []


def test_localhost_leads_to_the_loopback_address_that_the_demo_has() -> None:
    config: dict[str, Any] = {
        "scheme": "http",
        "hosts": OurHosts(["127.0.0.1:8080"], "http"),
        "public_origins": frozenset(["http://127.0.0.1:8080"]),
    }
    reply = Bench(**config).ask("/orders?x=1", host=b"localhost:8080")
    assert (reply.status, reply.headers["location"]) == (307, "http://127.0.0.1:8080/orders?x=1")
    for host, method in [(b"localhost:9", "GET"), (b"evil.example:8080", "GET"), (b"localhost:8080", "POST")]:
        assert Bench(**config).ask("/orders", host=host, method=method).status == 421
    assert Bench().ask("/orders", host=b"localhost").status == 421


def test_without_the_store_nobody_passes() -> None:
    bench = Bench()
    bench.guard.down = True
    assert bench.ask("/orders", cookie="ada").status == 503
    assert bench.ask("/orders", cookie="ada", headers=FETCH).headers["retry-after"] == "1"
    assert bench.ask("/live", cookie="ada", kind="websocket").status == 503
    assert bench.app.scopes == []
    assert [type(error) for error in bench.errors] == [StoreUnavailable] * 3, "the cause is told"


def test_any_surprise_while_deciding_is_a_refusal() -> None:
    bench = Bench()

    async def broken(cookie: bytes, now: float) -> Session:
        raise RuntimeError("a bad record")

    bench.guard.load = broken  # type: ignore[method-assign]
    assert bench.ask("/orders", cookie="ada").status == 500
    assert bench.app.scopes == []
    assert [str(error) for error in bench.errors] == ["a bad record"]


def test_an_unreachable_application_is_a_page_with_a_reference() -> None:
    bench = Bench()

    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        raise UpstreamFailure(502, "upstream_unreachable")

    bench.app.behaviour = unreachable
    assert (bench.ask("/", cookie="ada").status, bench.ask("/", cookie="ada").body) == (
        502,
        b"upstream_unreachable",
    )
    assert (
        json.loads(bench.ask("/", cookie="ada", headers=FETCH).body)["request_id"]
        == bench.lines[-1].request_id
    )
    assert bench.errors == []


def test_a_websocket_to_an_unreachable_application_is_refused_as_such() -> None:
    bench = Bench()

    async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
        raise UpstreamFailure(502, "upstream_unreachable")

    bench.app.behaviour = unreachable
    reply = bench.ask("/live", cookie="ada", kind="websocket")
    assert (reply.status, json.loads(reply.body)["error"]) == (502, "upstream_unreachable")


def test_an_answer_that_breaks_off_is_never_ended_cleanly() -> None:
    bench = Bench()

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise UpstreamFailure(502, "upstream_broke_off")

    bench.app.behaviour = breaks
    assert isinstance(bench.ask("/", cookie="ada").raised, UpstreamFailure)


def test_a_revocation_cuts_what_is_under_way() -> None:
    bench = Bench()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        bench.guard.watching[0]()
        await asyncio.sleep(60)

    bench.app.behaviour = endless
    reply = bench.ask("/", cookie="ada")
    assert type(reply.raised).__name__ == "SessionCut"
    assert len(bench.gate.running) == 0


def test_a_session_is_watched_while_something_is_under_way_and_no_longer() -> None:
    bench = Bench()
    for _ in range(3):
        bench.ask("/", cookie="ada")
    assert len(bench.guard.watching) == len(bench.gate.running) == 1
    bench.gate.running.sweep()
    assert bench.guard.watching == []
    assert len(bench.gate.running) == 0


def test_a_revocation_before_the_answer_began_leads_to_sign_in() -> None:
    bench = Bench()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        bench.guard.watching[0]()
        await asyncio.sleep(60)

    bench.app.behaviour = slow
    assert bench.ask("/", cookie="ada").headers["location"] == "/_gate/login?ended=revoked"


def test_the_application_can_neither_set_our_cookies_nor_leave_pages_in_shared_caches() -> None:
    bench = Bench(make_rule("/open", None, PUBLIC))
    bench.app.headers = [
        (b"set-cookie", NAMES.session.encode() + b"=x"),
        (b"cache-control", b"public, max-age=9"),
    ]
    reply = bench.ask("/", cookie="ada")
    assert "set-cookie" not in reply.headers
    assert reply.headers["cache-control"] == "private, max-age=9"
    assert bench.ask("/open").headers == {"cache-control": "public, max-age=9"}


def test_foreign_origins_open_no_websocket() -> None:
    bench = Bench()
    for origin, status in [(b"https://evil.example", 403), (b"null", 403), (ORIGIN.encode(), 0)]:

        async def accept(scope: Scope, receive: Receive, send: Send) -> None:
            return

        bench.app.behaviour = accept
        assert (
            bench.ask("/live", cookie="ada", kind="websocket", headers=[(b"origin", origin)]).status == status
        )
    assert len(bench.app.scopes) == 1


def test_a_websocket_in_the_same_process_is_closed_when_its_session_ends() -> None:
    bench = Bench()

    async def chat(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        bench.guard.known[b"ada"] = EndReason.REVOKED
        await bench.gate.sockets.sweep()
        await asyncio.sleep(60)

    bench.app.behaviour = chat
    assert bench.ask("/live", cookie="ada", kind="websocket").close == 1008
    assert len(bench.gate.sockets) == 0


def test_a_websocket_ends_when_its_owner_may_not_do_this_any_more() -> None:
    bench = Bench(make_rule("/live", None, make_allow(roles=["ops"])))

    async def chat(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await bench.gate.sockets.sweep()
        bench.guard.known[b"ada"] = session_of("ada", "audit")
        await bench.gate.sockets.sweep()
        await asyncio.sleep(60)

    bench.app.behaviour = chat
    assert bench.ask("/live", cookie="ada", kind="websocket").close == 1008


def test_the_log_line_names_the_decision_and_never_the_query() -> None:
    bench = Bench(make_rule("/pay", None, make_allow(roles=["ops"])))
    bench.ask("/pay?token=canary", cookie="ada")
    [line] = bench.lines
    assert (line.method, line.path, line.status, line.outcome, line.rule, line.login) == (
        "GET",
        "/pay",
        200,
        "allow",
        0,
        "ada",
    )
    assert "canary" not in repr(line)


def test_requests_of_a_session_with_the_script_are_told_of_its_tabs() -> None:
    bench = Bench()
    plain, scripted = session_of("ada", "ops"), session_of("eve", "audit")
    bench.guard.known[b"eve"] = scripted._replace(record=scripted.record._replace(tab_seen_at=5.0))
    bench.guard.known[b"ada"] = plain
    for cookie in ("ada", "eve"):
        bench.ask("/", cookie=cookie)
        bench.ask("/_gate/account", cookie=cookie)
        bench.ask("/data", cookie=cookie, headers=[(b"sec-fetch-mode", b"cors")])
    assert bench.guard.used_by == [("eve", True), ("eve", True), ("eve", False)]
