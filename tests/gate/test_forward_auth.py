"""Forward auth: each dialect gets the answer that the gate itself would give, and nobody else gets one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from gatekeeper.build.forward_auth import make_forward_auth, no_application, pages_only
from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.headers import RequestHeaders, header_lines
from gatekeeper.core.hosts import OurHosts, TrustedProxies, parse_hop
from gatekeeper.core.policy import NOBODY, PUBLIC, Rule, make_allow, make_policy, make_rule
from gatekeeper.core.protocols import Message
from gatekeeper.core.session import EndReason, Session
from gatekeeper.core.target import Leniency
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.dialects import DIALECTS, Dialect
from gatekeeper.gate.line import Line
from gatekeeper.gate.made import MadeLines
from gatekeeper.gate.shell import Gate
from gatekeeper.settings.addresses import parse_network
from tests.gate.test_shell import FETCH, NAVIGATE, Guard, pages

PROXY = "10.0.0.5"
NAMES = CookieNames.make("gatekeeper", secure=True)
RULES = (
    make_rule("/open/**", None, PUBLIC),
    make_rule("/shut/**", None, NOBODY),
    make_rule("/inside/**", None, NOBODY, networks=[parse_network("203.0.113.0/24")]),
    make_rule("/pay/**", ["POST"], make_allow(roles=["ops"])),
    make_rule("/pay/**", None, make_allow(roles=["ops", "audit"])),
    make_rule("/vault/**", None, make_allow(roles=["ops"], two_factor=600.0)),
)
by_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])


class Reply:
    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        self.headers: list[tuple[bytes, bytes]] = messages[0]["headers"]
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    def get(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Bench:
    def __init__(self, *rules: Rule, proxies: Iterable[str] = ("10.0.0.0/24",)) -> None:
        self.guard = Guard()
        self.lines: list[Line] = []
        self.errors: list[BaseException] = []
        application = Application(
            policy=make_policy(rules or RULES),
            leniency=Leniency(),
            request_headers=RequestHeaders(
                identity_names=["Remote-User"],
                own_cookies=NAMES.all_spellings(),
                scheme="https",
                drop_overrides=True,
            ),
            app=no_application,
        )
        self.config = GateConfig(
            prefix="/_gate",
            scheme="https",
            hosts=OurHosts(["office.example.com"], "https"),
            public_origins=frozenset(["https://office.example.com"]),
            proxies=TrustedProxies([parse_network(network) for network in proxies]),
            cookies=NAMES,
            applications=Applications([Place("office.example.com", "/", application)]),
        )
        endpoints = make_forward_auth(
            self.config,
            pages=pages,
            guard=self.guard,
            clock=lambda: 1_000.0,
            identity_names=frozenset(["Remote-User"]),
            on_line=self.lines.append,
            on_error=lambda _id, error: self.errors.append(error),
        )
        self.gate = Gate(
            pages=pages,
            guard=self.guard,
            config=pages_only(self.config),
            clock=lambda: 1_000.0,
            on_line=self.lines.append,
            on_error=lambda _id, error: self.errors.append(error),
            own=endpoints,
        )

    def request(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], peer: str) -> Reply:
        raw_path, _, query = target.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "raw_path": raw_path,
            "path": raw_path.decode("latin-1"),
            "query_string": query,
            "headers": headers,
            "client": (peer, 1),
            "scheme": "http",
        }
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(self.gate(scope, receive, send))
        return Reply(sent)

    def ask(
        self,
        dialect: Dialect,
        target: bytes,
        who: str = "",
        *,
        method: str = "GET",
        host: bytes = b"office.example.com",
        scheme: bytes = b"https",
        client: bytes = b"198.51.100.7",
        cookies: bytes = b"",
        more: Iterable[tuple[bytes, bytes]] = NAVIGATE,
        peer: str = PROXY,
    ) -> Reply:
        """Ask as that proxy does."""
        question = self.question(
            dialect, target, who, method, host=host, scheme=scheme, client=client, cookies=cookies, more=more
        )
        return self.request(*question, peer)

    @staticmethod
    def question(
        dialect: Dialect,
        target: bytes,
        who: str,
        method: str,
        *,
        host: bytes = b"office.example.com",
        scheme: bytes = b"https",
        client: bytes = b"198.51.100.7",
        cookies: bytes = b"",
        more: Iterable[tuple[bytes, bytes]] = NAVIGATE,
    ) -> tuple[str, bytes, list[tuple[bytes, bytes]]]:
        """Method, target and headers of that proxy's question."""
        headers = [*more, (b"x-forwarded-for", client), (dialect.scheme, scheme), (dialect.host, host)]
        cookies = b"; ".join(filter(None, [f"{NAMES.session}={who}".encode() if who else b"", cookies]))
        if cookies:
            headers.append((b"cookie", cookies))
        endpoint = f"/_gate/auth/{dialect.name}".encode()
        if dialect.in_place:
            return method, endpoint + target, headers
        headers += [(b"host", b"gatekeeper:8080"), (dialect.method, method.encode()), (dialect.uri, target)]
        return "GET", endpoint, headers


CASES = [
    # who, method, target, and what the gate itself answers: allow, sign in, step up, or no
    *(("", "GET", target, "allow") for target in (b"/open", b"/open/a?b", b"/op%65n/a")),
    *(("", "GET", target, "sign in") for target in (b"/", b"/a?b=c&d", b"/pay/1", b"/openx", b"/vault/1")),
    *(("half", "GET", target, "sign in") for target in (b"/", b"/pay/1")),
    *(("idle", "GET", target, "sign in") for target in (b"/", b"/pay/1")),
    *(("nobody-known", "GET", target, "sign in") for target in (b"/", b"/pay/1")),
    *(("ada", "GET", target, "allow") for target in (b"/", b"/a", b"/pay/1", b"/open/a")),
    ("ada", "POST", b"/pay/1", "allow"),
    ("ada", "GET", b"/vault/1", "step up"),
    ("eve", "GET", b"/pay/1", "allow"),
    ("eve", "HEAD", b"/pay/1", "allow"),
    *(("eve", "POST", target, "no") for target in (b"/pay/1", b"/pay", b"/p%61y/1")),
    ("eve", "GET", b"/vault/1", "no"),
    *((who, "GET", b"/shut/x", "no") for who in ("", "ada", "eve", "half")),
    *(
        ("ada", "GET", target, "no")
        for target in (
            b"/open/../a",
            b"/open/%2e%2e/a",
            b"//a",
            b"/a;b",
            b"/a%2fb",
            b"/a%00",
            b"/a%5cb",
            b"/%2561",
            b"/a%zz",
            b"/_gate/login",
            b"/_gate",
            b"/.well-known/change-password",
        )
    ),
]


@by_dialect
@pytest.mark.parametrize(("who", "method", "target", "expected"), CASES)
def test_the_table(dialect: Dialect, who: str, method: str, target: bytes, expected: str) -> None:
    page, script = (
        Bench().ask(dialect, target, who, method=method),
        Bench().ask(dialect, target, who, method=method, more=FETCH),
    )
    if expected == "allow":
        assert (page.status, script.status) == (200, 200)
        nobody = b"" if dialect.fills else None
        whose = who.encode() if who in ("ada", "eve") else nobody
        assert page.get(b"remote-user") == script.get(b"remote-user") == whose
        assert page.body == b""
    elif expected in ("sign in", "step up"):
        assert (page.status, script.status) == (302 if dialect.relays else 401, 401)
        location = page.get(b"location" if dialect.relays else b"x-gatekeeper-sign-in")
        way = b"/_gate/login" if expected == "sign in" else b"/_gate/2fa/setup"
        assert location is not None and location.startswith(b"https://office.example.com" + way)
        assert script.get(b"location") is None and script.get(b"x-gatekeeper-sign-in") is None
    else:
        assert (page.status, script.status) == (403, 403)
        assert page.get(b"location") is None
    if expected != "allow":
        assert page.get(b"remote-user") is None and page.get(b"cookie") is None
        assert page.get(b"x-accel-expires") is None


@pytest.mark.parametrize(
    "dialect", [each for each in DIALECTS if not each.in_place], ids=lambda each: each.name
)
@pytest.mark.parametrize(("who", "method", "target", "expected"), CASES)
def test_what_needs_no_waiting_is_answered_alike(
    dialect: Dialect, who: str, method: str, target: bytes, expected: str
) -> None:
    """The server asks there first: nobody passes whom the endpoint itself would not let pass."""
    waiting, quick = Bench(), Bench()
    asked, path, headers = quick.question(dialect, target, who, method, cookies=b"theirs=1")
    reply = waiting.request(asked, path, headers, PROXY)
    assert quick.gate.immediate(PROXY, asked, path, b"", headers) is None, "the session must be asked for"
    quick.guard.cached = True
    answer = quick.gate.immediate(PROXY, asked, path, b"", headers)
    if expected == "allow" and who in ("ada", "eve"):
        assert answer == header_lines(tuple(reply.headers))
        assert [line._replace(request_id="", seconds=0) for line in quick.lines] == [
            line._replace(request_id="", seconds=0) for line in waiting.lines
        ]
        assert quick.guard.touched == waiting.guard.touched
    else:
        assert answer is None and quick.lines == []
    assert quick.gate.immediate("192.0.2.1", asked, path, b"", headers) is None, "from no proxy of ours"


def test_an_answer_is_not_kept_beyond_what_it_says() -> None:
    bench = Bench()
    bench.guard.cached = True
    dialect = DIALECTS[0]

    def ask(cookies: bytes = b"theirs=1") -> bytes:
        question = bench.question(dialect, b"/", "ada", "GET", cookies=cookies)
        answer = bench.gate.immediate(PROXY, question[0], question[1], b"", question[2])
        assert answer is not None
        return answer

    assert ask() is ask(), "made once"
    assert b"cookie: theirs=2\r\n" in ask(b"theirs=2") and b"cookie: theirs=1\r\n" in ask()
    ada = bench.guard.known[b"ada"]
    assert isinstance(ada, Session)
    bench.guard.known[b"ada"] = ada._replace(headers=((b"remote-user", b"ada-king"),))
    assert b"remote-user: ada-king\r\n" in ask(), "a changed account is another session object"
    bench.guard.known[b"ada"] = EndReason.REVOKED
    question = bench.question(dialect, b"/", "ada", "GET", cookies=b"theirs=1")
    assert bench.gate.immediate(PROXY, question[0], question[1], b"", question[2]) is None


def test_what_is_kept_is_bounded_and_grows_old() -> None:
    made, lines = MadeLines(), b"a: b\r\n"
    ada = Guard().known[b"ada"]
    assert isinstance(ada, Session)
    application = Bench().config.applications.all[0]
    made.keep(b"c", ada, application, b"", 10.0, lines)
    assert made.find(b"c", ada, application, b"", 10.9) == lines
    assert made.find(b"c", ada, application, b"", 11.0) is None
    assert made.find(b"c", ada._replace(step="x"), application, b"", 10.5) is None
    made.keep(b"long", ada, application, b"x" * 2000, 10.0, lines)
    assert made.find(b"long", ada, application, b"x" * 2000, 10.0) is None
    for number in range(2000):
        made.keep(b"%d" % number, ada, application, b"", 10.0, lines)
    assert len(made) <= 512


@by_dialect
def test_one_is_sent_back_to_the_page_asked_for_query_and_all(dialect: Dialect) -> None:
    reply = Bench().ask(dialect, b"/a%20b?c=d&e=%2F%3F", "idle")
    location = reply.get(b"location") or reply.get(b"x-gatekeeper-sign-in")
    assert location == (
        b"https://office.example.com/_gate/login?next=/a%2520b%3Fc%3Dd%26e%3D%252F%253F&ended=idle"
    )


@by_dialect
def test_only_trusted_proxies_may_ask(dialect: Dialect, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    for _ in range(3):
        reply = bench.ask(dialect, b"/", "ada", peer="198.51.100.7")
        assert reply.status == 403
        assert reply.get(b"remote-user") is None
    assert [line.outcome for line in bench.lines] == ["untrusted_proxy"] * 3
    said = capsys.readouterr().out
    assert said.count("trusted_proxies") == 1 and "198.51.100.7" in said
    assert Bench(proxies=()).ask(dialect, b"/open", peer=PROXY).status == 403


@by_dialect
def test_a_question_that_leaves_something_out_is_refused(dialect: Dialect) -> None:
    left_out = {dialect.scheme, b"x-forwarded-for"}
    if not dialect.in_place:
        left_out |= {dialect.method, dialect.uri, dialect.host}
    for name in left_out:
        for value in ([], [b"/open"] * 2 if name == dialect.uri else []):
            bench = Bench()
            headers = [
                (dialect.scheme, b"https"),
                (dialect.host, b"office.example.com"),
                (b"x-forwarded-for", b"198.51.100.7"),
            ]
            target = f"/_gate/auth/{dialect.name}".encode()
            if dialect.in_place:
                target += b"/open"
            else:
                headers += [(dialect.method, b"GET"), (dialect.uri, b"/open")]
            assert bench.request("GET", target, headers, PROXY).status == 200
            headers = [pair for pair in headers if pair[0] != name] + [(name, one) for one in value]
            assert bench.request("GET", target, headers, PROXY).status == 403, name


@by_dialect
def test_another_host_or_scheme_is_refused(dialect: Dialect) -> None:
    assert Bench().ask(dialect, b"/open", host=b"evil.example").status == 403
    assert Bench().ask(dialect, b"/open", scheme=b"gopher").status == 403
    assert Bench().ask(dialect, b"/open", host=b"OFFICE.example.com.:443").status == 200


@by_dialect
def test_the_client_is_whom_the_proxy_names(dialect: Dialect) -> None:
    bench = Bench()
    assert bench.ask(dialect, b"/inside/a", "ada", client=b"198.51.100.7").status == 200
    assert bench.ask(dialect, b"/inside/a", "ada", client=b"203.0.113.9").status == 403
    assert bench.ask(dialect, b"/inside/a", "ada", client=b"198.51.100.7, 203.0.113.9").status == 403
    assert [line.client for line in bench.lines] == ["198.51.100.7", "203.0.113.9", "203.0.113.9"]
    assert bench.ask(dialect, b"/a", "ada", client=b"unix:").status == 200
    assert bench.lines[-1].client == "" and parse_hop("unix:") is None


@by_dialect
def test_when_it_cannot_be_decided_nobody_passes(dialect: Dialect) -> None:
    bench = Bench()
    bench.guard.down = True
    for more in (NAVIGATE, FETCH):
        assert bench.ask(dialect, b"/open", "ada", more=more).status == 503
    assert [type(error) for error in bench.errors] == [StoreUnavailable] * 2, "the cause is told"
    bench.errors.clear()

    async def broken(cookie: bytes, now: float) -> Any:
        raise RuntimeError("bad record")

    bench.guard.load = broken  # type: ignore[method-assign]
    assert bench.ask(dialect, b"/open", "ada").status == 503
    assert [str(error) for error in bench.errors] == ["bad record"]


@by_dialect
def test_the_application_gets_its_own_cookies_alone(dialect: Dialect) -> None:
    reply = Bench().ask(dialect, b"/", "ada", cookies=b"a=1; __Host-gatekeeper_csrf=x; b=2")
    assert reply.get(b"cookie") == b"a=1; b=2"
    assert Bench().ask(dialect, b"/", "ada").get(b"cookie") == (b"" if dialect.fills else None)


def test_envoy_is_told_what_to_take_out() -> None:
    envoy = DIALECTS[-1]
    assert Bench().ask(envoy, b"/open").get(b"x-envoy-auth-headers-to-remove") == b"cookie,remote-user"
    assert Bench().ask(envoy, b"/", "ada").get(b"x-envoy-auth-headers-to-remove") == b"cookie"
    reply = Bench().ask(envoy, b"/", "ada", cookies=b"a=1")
    assert reply.get(b"x-envoy-auth-headers-to-remove") is None


HANDSHAKE = [(b"sec-websocket-key", b"x"), (b"sec-websocket-version", b"13")]


@by_dialect
def test_a_websocket_needs_a_session_and_an_origin_of_ours(dialect: Dialect) -> None:
    ours = [*HANDSHAKE, (b"origin", b"https://office.example.com")]
    assert Bench().ask(dialect, b"/live", "ada", more=ours).status == 200
    assert Bench().ask(dialect, b"/live", "ada", more=HANDSHAKE).status == 200
    assert Bench().ask(dialect, b"/live", more=ours).status == 401
    theirs = [*HANDSHAKE, (b"origin", b"https://evil.example")]
    assert Bench().ask(dialect, b"/live", "ada", more=theirs).status == 403
    assert Bench().ask(dialect, b"/open", more=theirs).status == 403


@by_dialect
def test_only_nginx_may_keep_an_answer_and_no_hand_shake(dialect: Dialect) -> None:
    reply = Bench().ask(dialect, b"/", "ada")
    assert reply.get(b"x-accel-expires") == (b"1" if dialect.name == "nginx" else None)
    assert reply.get(b"cache-control") == b"no-store"
    names = [name for name, _ in reply.headers]
    if dialect.name == "nginx":  # the first of the two decides
        assert names.index(b"x-accel-expires") < names.index(b"cache-control")
    assert Bench().ask(dialect, b"/live", "ada", more=HANDSHAKE).get(b"x-accel-expires") is None


@by_dialect
def test_activity_counts_and_refusals_are_none(dialect: Dialect) -> None:
    bench = Bench()
    bench.ask(dialect, b"/", "ada")
    bench.ask(dialect, b"/shut/a", "eve")
    bench.ask(dialect, b"/open", "half")
    assert bench.guard.touched == ["ada"]


@by_dialect
def test_the_log_tells_of_the_request_asked_about(dialect: Dialect) -> None:
    bench = Bench()
    bench.ask(dialect, b"/pay/1?secret=1", "eve", method="POST")
    (line,) = bench.lines
    assert (line.method, line.path, line.outcome, line.login, line.rule) == (
        "POST",
        "/pay/1",
        "forbidden",
        "eve",
        3,
    )


def test_the_page_for_nginx_says_403_and_the_logs_reference() -> None:
    bench = Bench()
    refused = bench.ask(DIALECTS[0], b"/pay/1", "eve", method="POST")
    reference = refused.get(b"x-request-id")
    assert reference is not None
    headers = [(b"host", b"office.example.com"), (b"x-request-id", reference)]
    cookie = (b"cookie", NAMES.session.encode() + b"=eve")
    page = bench.request("GET", b"/_gate/auth/forbidden", [*headers, *NAVIGATE, cookie], PROXY)
    assert (page.status, page.body) == (403, b"forbidden")
    script = bench.request("GET", b"/_gate/auth/forbidden", [*headers, *FETCH, cookie], PROXY)
    assert json.loads(script.body) == {"error": "forbidden", "request_id": reference.decode()}
    stranger = bench.request("GET", b"/_gate/auth/forbidden", [*headers, *FETCH], "198.51.100.7")
    assert json.loads(stranger.body)["request_id"] != reference.decode()


@pytest.mark.parametrize(
    "target", [b"/_gate/auth", b"/_gate/auth/", b"/_gate/auth/apache", b"/_gate/auth/nginx/x"]
)
def test_other_addresses_are_never_a_yes(target: bytes) -> None:
    """They are led to the pages, which know no such page; here the stand-in's answer shows that."""
    headers = [(b"host", b"office.example.com"), *NAVIGATE]
    assert Bench().request("GET", target, headers, PROXY).body == b"own page"


def test_without_an_application_every_other_page_is_404() -> None:
    for headers in (NAVIGATE, FETCH):
        reply = Bench().request("GET", b"/orders", [(b"host", b"office.example.com"), *headers], "::1")
        assert reply.status == 404
