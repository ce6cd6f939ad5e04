"""The sites of deploy/nginx in the real nginx: who gets in, who does not, what the application is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gatekeeper.core.session import EndReason
from tests.nginx.support import FETCH, HOST, PAGE, SESSION, Site, head_of, nginx_site
from tests.wall.recording import Recording, recording

SITES = ("reverse-proxy", "auth-request", "auth-request-cached")


@pytest.fixture(scope="module")
def application() -> Iterator[Recording]:
    with recording() as found:
        yield found


@pytest.fixture(scope="module", params=SITES)
def site(
    request: pytest.FixtureRequest, application: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    with nginx_site(folder, request.param, application.port) as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_arrived(application: Recording) -> None:
    application.clear()


def test_a_page_leads_to_sign_in_and_back_with_its_query(site: Site, application: Recording) -> None:
    site.person("ada", "payments")
    place = "/orders/7?sort=a%20b&x=%2Fy&q=1;2"
    away = site.ask(place)
    assert away.status == 303
    location = urlsplit(away.get("location"))
    assert location.netloc in ("", f"{HOST}:{site.port}")
    assert location.path == "/_gate/login"
    assert parse_qs(location.query)["next"] == [place]
    assert application.arrived == []

    cookie, back = site.sign_in("ada", f"{location.path}?{location.query}")
    assert back == place
    assert site.ask(back, cookie=cookie).status == 200
    assert application.arrived[0].target == place.encode()


def test_a_script_is_told_401(site: Site, application: Recording) -> None:
    answer = site.ask("/orders", FETCH)
    assert answer.status == 401
    assert json.loads(answer.body)["error"] == "unauthenticated"
    assert answer.get("location") == ""
    assert application.arrived == []


def test_roles_decide_and_a_forbidden_person_sees_who_they_are(site: Site, application: Recording) -> None:
    audit = site.person("eve", "audit")
    assert site.ask("/payments/1", cookie=audit).status == 200
    application.clear()
    answer = site.ask(
        "/payments/1", {**PAGE, "Origin": site.origin}, cookie=audit, method="POST", body=b"a=1"
    )
    assert answer.status == 403
    assert b"eve" in answer.body.lower()
    assert answer.get("location") == ""
    assert "no-store" in answer.get("cache-control")
    background = site.ask("/payments/1", FETCH, cookie=audit, method="DELETE")
    assert (background.status, json.loads(background.body)["error"]) == (403, "forbidden")
    assert site.ask("/denied/x", cookie=site.person("ada", "payments")).status == 403
    assert application.arrived == []


def test_the_body_of_a_post_arrives(site: Site, application: Recording) -> None:
    cookie = site.person("ada", "payments")
    body = b"amount=7&" * 10_000
    assert site.ask("/payments/1", cookie=cookie, method="POST", body=body).status == 200
    assert application.arrived[0].body == body


def test_the_application_learns_who_asks_and_none_of_our_cookies(site: Site, application: Recording) -> None:
    cookie = f"theme=dark; {site.person('ada', 'payments')}; id=7"
    assert site.ask("/orders", cookie=cookie).status == 200
    head = head_of(application.arrived[0].head)
    assert head["remote-user"] == ["ada"]
    assert head["remote-groups"] == ["payments"]
    assert [part.strip() for part in head["cookie"][0].split(";")] == ["theme=dark", "id=7"]
    assert head["host"] == [f"{HOST}:{site.port}"]
    assert head["x-forwarded-proto"] == ["https"]
    assert head["x-forwarded-for"] == ["127.0.0.1"]


def test_nobody_is_anybody_on_a_public_page(site: Site, application: Recording) -> None:
    assert site.ask("/health").status == 200
    assert "remote-user" not in head_of(application.arrived[0].head)


FORGED = [
    ("Remote-User", "root"),
    ("remote-user", "root"),
    ("Remote_User", "root"),
    ("Remote.User", "root"),
    ("X-Remote-User", "root"),
    ("Remote-Groups", "payments"),
    ("X-Forwarded-User", "root"),
    ("X-Auth-Request-User", "root"),
    ("X-Gatekeeper-Assertion", "root"),
    ("X_Gatekeeper_Assertion", "root"),
    ("X.Gatekeeper.Assertion", "root"),
    ("X-Gatekeeper-Sign-In", "https://evil.example/"),
    ("X-Original-URI", "/health"),
    ("X-Original-URL", "/health"),
    ("X-Original-Method", "GET"),
    ("X-Original-Host", "evil.example"),
    ("X-Original-Scheme", "http"),
    ("X_Original_URI", "/health"),
    ("X-Rewrite-URL", "/health"),
    ("X-Forwarded-Uri", "/health"),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-For", "10.9.8.7"),
    ("X-Real-IP", "10.9.8.7"),
    ("Forwarded", "for=10.9.8.7;host=evil.example"),
    ("X-HTTP-Method-Override", "GET"),
    ("Connection", "close, Remote-User, Cookie, X-Original-URI"),
]


def test_the_application_can_verify_who_asks(site: Site, application: Recording) -> None:
    assert site.ask("/orders", cookie=site.person("ada", "payments")).status == 200
    (assertion,) = head_of(application.arrived[0].head)["x-gatekeeper-assertion"]
    claims = site.verify(assertion)
    assert (claims["preferred_username"], claims["roles"]) == ("ada", ["payments"])
    application.clear()
    assert site.ask("/health").status == 200
    assert head_of(application.arrived[0].head).get("x-gatekeeper-assertion", [""]) == [""]


def test_cookies_may_fill_as_much_as_nginx_takes(site: Site, application: Recording) -> None:
    """Its answers to questions hold them, and are 4 KB at most unless it is told otherwise."""
    cookie = site.person("ada", "payments") + "; theme=" + "x" * 7_500
    assert site.ask("/orders", cookie=cookie).status == 200
    assert head_of(application.arrived[0].head)["cookie"][0].count("x") == 7_500


def test_what_is_forged_outside_opens_nothing(site: Site, application: Recording) -> None:
    assert site.ask("/orders", [*PAGE.items(), *FORGED]).status == 303
    away = site.ask("/orders?a=1", [*PAGE.items(), *FORGED]).get("location")
    assert "evil.example" not in away and "next=/orders%3Fa%3D1" in away
    eve = site.person("eve", "audit")
    answer = site.ask("/payments/1", [*PAGE.items(), *FORGED], cookie=eve, method="DELETE")
    assert answer.status == 403
    assert application.arrived == []


def test_what_is_forged_outside_does_not_reach_the_application(site: Site, application: Recording) -> None:
    eve = site.person("eve", "audit")
    for target, cookie in (("/orders", eve), ("/health", "")):
        application.clear()
        assert site.ask(target, [*PAGE.items(), *FORGED], cookie=cookie).status == 200
        head = application.arrived[0].head
        for poison in (b"root", b"evil.example", b"10.9.8.7", b"payments", b"/health"):
            assert poison not in head.split(b"\r\n", 1)[1], head
        assert head_of(head).get("remote-user", ["nobody"]) == (["eve"] if cookie else ["nobody"])


def test_questions_cannot_be_asked_from_outside(site: Site) -> None:
    cookie = site.person("ada", "payments")
    for dialect in ("nginx", "traefik", "caddy", "haproxy", "envoy/orders"):
        asked = {
            **PAGE,
            "X-Original-URI": "/orders",
            "X-Original-Method": "GET",
            "X-Original-Scheme": "https",
        }
        answer = site.ask(f"/_gate/auth/{dialect}", asked, cookie=cookie)
        assert answer.get("remote-user") == ""
        assert answer.status in (403, 404)


def test_own_pages_are_reached(site: Site) -> None:
    page = site.ask("/_gate/login")
    assert page.status == 200 and b'name="password"' in page.body
    assert site.ask("/.well-known/change-password").status == 302


def test_signing_out_ends_it(site: Site) -> None:
    site.person("ada", "payments")
    cookie, _ = site.sign_in("ada", "/_gate/login?next=/orders")
    assert site.ask("/orders", cookie=cookie).status == 200
    page = site.ask("/_gate/logout", cookie=cookie)
    token = page.body.decode().split('name="csrf" value="')[1].split('"')[0]
    csrf = next(value.split(";")[0] for name, value in page.headers if name.lower() == "set-cookie")
    answer = site.ask(
        "/_gate/logout",
        {**PAGE, "Origin": site.origin, "Content-Type": "application/x-www-form-urlencoded"},
        method="POST",
        cookie=f"{cookie}; {csrf}",
        body=f"csrf={token}".encode(),
    )
    assert answer.status in (200, 303)
    wait_until_out(site, cookie)


def test_a_revocation_holds_within_three_seconds(site: Site) -> None:
    cookie = site.person("ada", "payments")
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert site.ask("/orders", cookie=cookie).status == 200
    user = site.users["ada"]
    site.gate.call(lambda services: services.sessions.end_user(user, EndReason.REVOKED))
    wait_until_out(site, cookie)


def wait_until_out(site: Site, cookie: str) -> None:
    """Asking all the time: an answer that is used again and again is not kept longer for it."""
    until = time.monotonic() + 3.0
    while site.ask("/orders", cookie=cookie).status != 303:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert site.ask("/orders", cookie=cookie).status == 303


def test_one_cookie_twice_is_nobody(site: Site, application: Recording) -> None:
    ada, eve = site.person("ada", "payments"), site.person("eve", "audit")
    assert site.ask("/orders", cookie=ada).status == 200
    assert site.ask("/orders", cookie=f"{ada}; {eve}").status == 303
    assert site.ask("/orders", cookie=f"{SESSION}=; {ada}").status == 303
    headers = [*PAGE.items(), ("Cookie", ada), ("Cookie", eve)]
    assert site.ask("/orders", headers).status in (303, 400)


HOSTILE = [
    b"/health/../orders",
    b"/health/..;/orders",
    b"/health/%2e%2e/orders",
    b"/health/%2E%2E%2Forders",
    b"/%2e/orders",
    b"//orders",
    b"/health//../orders",
    b"/health%2f..%2forders",
    b"/health/..%5corders",
    b"/health%00",
    b"/health;/../orders",
    b"/he%61lth/../denied/x",
    b"/health%252f..%252forders",
    b"/x/../_gate/auth/nginx",
    b"/_gate/../orders",
    b"/_gate/login/../../orders",
    b"/_gate/auth/../../orders",
    b"/_gate//../orders",
    b"/%5f/../orders",
    b"/health#/../orders",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_what_can_be_read_two_ways_reaches_nobody(site: Site, application: Recording, target: bytes) -> None:
    answer = site.ask(target, cookie=site.person("ada", "payments"))
    assert answer.status in (400, 403, 404), answer
    assert application.arrived == []


@pytest.mark.parametrize(
    "target",
    [b"/orders", b"/he%61lth", b"/caf%C3%A9?a=%2F..;//", b"/a%20b?x", b"/orders/", b"/a:b/@c,d?next=/health"],
)
def test_what_was_judged_is_what_the_application_gets(
    site: Site, application: Recording, target: bytes
) -> None:
    assert site.ask(target, cookie=site.person("ada", "payments")).status == 200
    assert application.arrived[0].target == target


def test_a_rule_sees_through_encoding(site: Site, application: Recording) -> None:
    ada = site.person("ada", "payments")
    assert site.ask(b"/%64enied/x", cookie=ada).status == 403
    assert site.ask(b"/he%61lth").status == 200
    assert site.ask(f"https://{HOST}:{site.port}/denied/x", cookie=ada).status == 403
    assert [arrived.target for arrived in application.arrived] == [b"/he%61lth"]


def test_another_host_is_not_ours(site: Site, application: Recording) -> None:
    cookie = site.person("ada", "payments")
    for host in ("evil.example", f"evil.example,{HOST}:{site.port}", f"{HOST}:{site.port},evil.example"):
        assert site.ask("/orders", cookie=cookie, host=host).status in (400, 403, 421), host
    assert application.arrived == []


@pytest.mark.parametrize("name", ["auth-request", "auth-request-cached"])
def test_without_an_answer_nobody_passes(name: str, application: Recording, tmp_path: Path) -> None:
    with nginx_site(tmp_path, name, application.port, unreachable=True) as site:
        for target in ("/orders", "/health"):
            answer = site.ask(target, cookie=site.person("ada", "payments"))
            assert answer.status == 503
            assert b"try again" in answer.body and answer.get("retry-after")
        assert application.arrived == []
