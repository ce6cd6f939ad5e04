"""The real Caddy and HAProxy with the files of deploy/: the same stories as in front of nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx.others import PROXIES
from tests.nginx.support import FETCH, HOST, PAGE, SESSION, Site, head_of
from tests.nginx.test_auth_request import FORGED as EVERYTHING_FORGED
from tests.nginx.test_auth_request import HOSTILE
from tests.wall.forgeries import CLAIMS
from tests.wall.recording import Recording, recording


@pytest.fixture(scope="module")
def application() -> Iterator[Recording]:
    with recording() as found:
        yield found


# Caddy itself removes what is listed there, the cookie too: that has a test of its own.
FORGED = [pair for pair in EVERYTHING_FORGED if pair[0] != "Connection"]


HARMLESS = (b"Keep-Alive", b"HTTP2-Settings", b"Proxy-")
"""About one connection: with another sign they mean nothing."""


@pytest.fixture(scope="module", params=PROXIES)
def site(
    request: pytest.FixtureRequest, application: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with PROXIES[request.param](tmp_path_factory.mktemp(request.param), application.port) as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_arrived(application: Recording) -> None:
    application.clear()


def test_a_page_leads_to_sign_in_and_back_with_its_query(site: Site, application: Recording) -> None:
    site.person("ada", "payments")
    place = "/orders/7?sort=a%20b&x=%2Fy"
    away = site.ask(place)
    assert away.status == 302
    location = away.get("location")
    assert location.startswith(f"{site.origin}/_gate/login?")
    assert application.arrived == []
    cookie, back = site.sign_in("ada", location.removeprefix(site.origin))
    assert back == place
    assert site.ask(back, cookie=cookie).status == 200
    assert application.arrived[0].target == place.encode()


def test_a_script_is_told_401(site: Site, application: Recording) -> None:
    answer = site.ask("/orders", FETCH)
    assert (answer.status, json.loads(answer.body)["error"]) == (401, "unauthenticated")
    assert application.arrived == []


def test_roles_decide(site: Site, application: Recording) -> None:
    audit = site.person("eve", "audit")
    assert site.ask("/payments/1", cookie=audit).status == 200
    application.clear()
    answer = site.ask("/payments/1", cookie=audit, method="POST", body=b"a=1")
    assert answer.status == 403
    assert b"eve" in answer.body.lower()
    assert site.ask("/denied/x", cookie=site.person("ada", "payments")).status == 403
    assert application.arrived == []


def test_the_body_of_a_post_arrives(site: Site, application: Recording) -> None:
    cookie = site.person("ada", "payments")
    body = b"amount=7&" * 10_000
    assert site.ask("/payments/1", cookie=cookie, method="POST", body=body).status == 200
    assert application.arrived[0].body == body
    assert application.arrived[0].head.startswith(b"POST /payments/1 ")


def test_the_application_learns_who_asks_and_none_of_our_cookies(site: Site, application: Recording) -> None:
    session = site.person("ada", "payments")
    assert site.ask("/orders", cookie=f"theme=dark; {session}; id=7").status == 200
    assert site.ask("/orders", cookie=session).status == 200
    first, second = (head_of(arrived.head) for arrived in application.arrived)
    assert first["remote-user"] == ["ada"]
    assert first["remote-groups"] == ["payments"]
    assert [part.strip() for part in first["cookie"][0].split(";")] == ["theme=dark", "id=7"]
    assert first["x-forwarded-proto"] == ["https"]
    assert first["x-forwarded-for"] == ["127.0.0.1"]
    assert second.get("cookie", [""]) == [""]


def test_the_application_can_verify_who_asks(site: Site, application: Recording) -> None:
    assert site.ask("/orders", cookie=site.person("ada", "payments")).status == 200
    (assertion,) = head_of(application.arrived[0].head)["x-gatekeeper-assertion"]
    claims = site.verify(assertion)
    assert (claims["preferred_username"], claims["roles"]) == ("ada", ["payments"])
    application.clear()
    assert site.ask("/health").status == 200
    assert head_of(application.arrived[0].head).get("x-gatekeeper-assertion", [""]) == [""]


def test_what_is_forged_outside_opens_nothing(site: Site, application: Recording) -> None:
    away = site.ask("/orders?a=1", [*PAGE.items(), *FORGED])
    assert away.status == 302
    assert "evil.example" not in away.get("location") and "next=/orders%3Fa%3D1" in away.get("location")
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


@pytest.mark.parametrize("separator", "!#$%&'*+.^_`|~")
def test_no_other_separator_makes_one_of_ours(site: Site, application: Recording, separator: str) -> None:
    """Every sign that a name may have (RFC 9110 section 5.6.2): some servers make `_` of each."""
    names = [claim.decode() for claim in CLAIMS if b"-" in claim and not claim.startswith(HARMLESS)]
    spelt = [name.replace("-", separator) for name in names]
    spelt += [name.replace("-", separator, 1) for name in names]
    forged = [(name, "forged") for name in dict.fromkeys(spelt)]
    answer = site.ask("/orders", [*PAGE.items(), *forged], cookie=site.person("eve", "audit"))
    assert answer.status in (200, 400)
    for arrived in application.arrived:
        passed = [line for line in arrived.head.split(b"\r\n") if line.endswith(b": forged")]
        assert passed == []
    assert len(application.arrived) == (answer.status == 200)


def test_what_only_looks_like_ours_arrives(site: Site, application: Recording) -> None:
    names = ("X-Requested-With", "X-Auth-Token", "X-Api-Key", "X-CSRF-Token", "Authorization")
    headers = [*PAGE.items(), *((name, "theirs") for name in names)]
    assert site.ask("/orders", headers, cookie=site.person("eve", "audit")).status == 200
    head = head_of(application.arrived[0].head)
    assert [head.get(name.lower()) for name in names] == [["theirs"]] * len(names)


@pytest.mark.parametrize(
    "listed", ["Remote-User", "Cookie", "X-Forwarded-Uri, X-Forwarded-Method", "X-Forwarded-For", "Host"]
)
def test_nobody_has_our_headers_removed(site: Site, application: Recording, listed: str) -> None:
    eve = site.person("eve", "audit")
    headers = [*PAGE.items(), ("Connection", listed)]
    assert site.ask("/denied/x", headers, cookie=eve).status in (400, 403)
    application.clear()
    if site.ask("/orders", headers, cookie=eve).status == 200:
        assert head_of(application.arrived[0].head)["remote-user"] == ["eve"]
    else:
        assert application.arrived == []


def test_questions_cannot_be_asked_from_outside(site: Site) -> None:
    cookie = site.person("ada", "payments")
    for dialect in ("nginx", "traefik", "caddy", "haproxy", "envoy/orders"):
        answer = site.ask(f"/_gate/auth/{dialect}", cookie=cookie)
        assert answer.status == 404 and answer.get("remote-user") == ""


def test_own_pages_are_reached(site: Site) -> None:
    page = site.ask("/_gate/login")
    assert page.status == 200 and b'name="password"' in page.body
    assert site.ask("/.well-known/change-password").status == 302


def test_one_cookie_twice_is_nobody(site: Site, application: Recording) -> None:
    ada, eve = site.person("ada", "payments"), site.person("eve", "audit")
    assert site.ask("/orders", cookie=f"{ada}; {eve}").status == 302
    assert site.ask("/orders", cookie=f"{SESSION}=; {ada}").status == 302
    assert site.ask("/orders", [*PAGE.items(), ("Cookie", ada), ("Cookie", eve)]).status in (302, 400)
    assert application.arrived == []


def test_another_host_is_not_ours(site: Site, application: Recording) -> None:
    cookie = site.person("ada", "payments")
    for host in ("evil.example", f"evil.example,{HOST}:{site.port}", f"{HOST}:{site.port},evil.example"):
        site.ask("/orders", cookie=cookie, host=host)  # Caddy answers an empty 200 for a host that it has not
    assert application.arrived == []


@pytest.mark.parametrize("target", HOSTILE)
def test_what_can_be_read_two_ways_reaches_nobody(site: Site, application: Recording, target: bytes) -> None:
    answer = site.ask(target, cookie=site.person("ada", "payments"))
    # Caddy leads back to a host without path for some: whoever follows is judged anew.
    assert answer.status in (400, 403, 404, 308), answer
    assert application.arrived == []


@pytest.mark.parametrize(
    "target", [b"/orders", b"/he%61lth", b"/caf%C3%A9?a=%2F..//", b"/a%20b?x", b"/a:b/@c,d"]
)
def test_what_was_judged_is_what_the_application_gets(
    site: Site, application: Recording, target: bytes
) -> None:
    assert site.ask(target, cookie=site.person("ada", "payments")).status == 200
    assert application.arrived[0].target == target


@pytest.mark.parametrize("name", PROXIES)
def test_without_an_answer_nobody_passes(name: str, application: Recording, tmp_path: Path) -> None:
    with PROXIES[name](tmp_path, application.port, unreachable=True) as site:
        for target in ("/orders", "/health"):
            assert site.ask(target, cookie=site.person("ada", "payments")).status in (502, 503)
        assert application.arrived == []
