"""Rules: first match wins, the strictest reading wins, and nothing can make matching slow."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest

from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.policy import (
    ANY_TIME,
    NOBODY,
    PUBLIC,
    SIGNED_IN,
    Allow,
    Outcome,
    Policy,
    compile_glob,
    decide,
    make_allow,
    make_policy,
    make_rule,
)
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.core.target import STRICT, Leniency, parse_target

NOW = 10_000.0


def person(login: str = "ada", *roles: str, step: str = "") -> Session:
    user = UserRecord(1, login, login.title(), f"{login}@example.com", roles, False, 0)
    return Session(SessionRecord(b"k" * 32, 1, 0, 0.0, 0.0, False, "pwd", 0.0, 0.0, "", ""), user, step, ())


def request(path: bytes, method: str = "GET", leniency: Leniency = STRICT) -> Facts:
    target = parse_target(path, b"", leniency)
    return Facts(method, "https", "office.example.com", target, "192.0.2.7", Kind.NAVIGATION)


def policy(*rules: tuple[str | None, list[str] | None, Allow]) -> Policy:
    return make_policy([make_rule(path, methods, allow) for path, methods, allow in rules])


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("/admin", ["/admin"], ["/admin/", "/admin/x", "/Admin", "/x/admin", "/administrator"]),
        ("/admin/**", ["/admin", "/admin/", "/admin/a/b"], ["/administrator", "/x/admin"]),
        ("/**", ["/", "/a", "/a/b/"], []),
        ("/*", ["/", "/a"], ["/a/b"]),
        ("/a/*/c", ["/a/b/c", "/a//c"], ["/a/b/b/c", "/a/c"]),
        ("/**/export", ["/export", "/a/export", "/a/b/export"], ["/exports", "/a/export/b"]),
        ("/**/*.pdf", ["/a.pdf", "/x/y/.pdf"], ["/a.pdf/b", "/a.pdfx"]),
        ("/a/**/b/**/c", ["/a/b/c", "/a/x/b/y/z/c", "/a/b/b/c"], ["/a/c", "/b/c"]),
        ("/r?d", ["/red", "/rid"], ["/r/d", "/rd"]),
        ("/a*b*c", ["/abc", "/axbxc", "/abbcc"], ["/ab", "/ab/c"]),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("/x\n", [], []),
    ],
)
def test_a_glob_matches_the_whole_path(glob: str, yes: list[str], no: list[str]) -> None:
    if "\n" in glob:
        with pytest.raises(ValueError, match="control"):
            compile_glob(glob)
        return
    pattern = compile_glob(glob)
    assert [path for path in yes if not pattern.fullmatch(path)] == []
    assert [path for path in no if pattern.fullmatch(path)] == []
    assert not pattern.fullmatch(yes[0] + "\n") or "**" in glob or "*" in glob


@pytest.mark.parametrize("glob", ["admin", "/a**", "/***", "/a b", "/a#b", "/a\\b"])
def test_a_glob_that_means_nothing_is_an_error(glob: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compile_glob(glob)


def test_who_may_not_have_a_path_does_not_get_it_with_a_slash_at_its_end() -> None:
    for allow in (NOBODY, make_allow(roles=["ops"]), make_allow(users=["bob"])):
        rules = policy(("/private", None, allow), ("/*/x", None, allow))
        for path in (b"/private", b"/private/", b"/a/x/"):
            assert decide(rules, request(path), person(), 0.0).outcome >= Outcome.FORBIDDEN
        assert decide(rules, request(b"/private/x/y"), person(), 0.0).outcome is Outcome.ALLOW
    opened = policy(("/open", None, PUBLIC), ("/**", None, NOBODY))
    assert decide(opened, request(b"/open/"), person(), 0.0).outcome is Outcome.DENY


def test_no_address_makes_matching_slow() -> None:
    pattern = compile_glob("/**/a*a*a*a*a*a/**/b*b*b*b/**/c")
    began = time.process_time()
    pattern.fullmatch("/" + "a" * 30_000)
    pattern.fullmatch("/a" * 15_000)
    pattern.fullmatch("/" + "a" * 500 + ("/" + "b" * 500) * 50)
    assert time.process_time() - began < 2.0  # seconds; a backtracking pattern takes hours


def test_the_first_rule_that_matches_decides() -> None:
    rules = policy(("/reports/public", None, PUBLIC), ("/reports/**", None, NOBODY), (None, None, PUBLIC))
    assert decide(rules, request(b"/reports/public"), None, NOW) == (Outcome.ALLOW, 0)
    assert decide(rules, request(b"/reports/x"), person(), NOW) == (Outcome.DENY, 1)
    assert decide(rules, request(b"/x"), None, NOW) == (Outcome.ALLOW, 2)


def test_without_rules_everybody_signed_in_may() -> None:
    assert decide(policy(), request(b"/"), None, NOW).outcome is Outcome.SIGN_IN
    assert decide(policy(), request(b"/"), person(), NOW).outcome is Outcome.ALLOW


def test_half_signed_in_is_not_signed_in() -> None:
    rules = policy(("/a", None, SIGNED_IN), ("/b", None, make_allow(roles=["ops"])))
    half = person("ada", "ops", step="second_factor")
    for path in (b"/", b"/a", b"/b"):
        assert decide(rules, request(path), half, NOW).outcome is Outcome.SIGN_IN


def test_roles_and_users_pass_by_name_however_a_login_is_spelled() -> None:
    rules = policy(("/pay/**", None, make_allow(roles=["payments"], users=["ÁDA@Example.com"])))
    assert decide(rules, request(b"/pay/1"), person("bob", "payments", "audit"), NOW).outcome is Outcome.ALLOW
    assert decide(rules, request(b"/pay/1"), person("áda@example.COM"), NOW).outcome is Outcome.ALLOW
    assert decide(rules, request(b"/pay/1"), person("bob", "audit"), NOW).outcome is Outcome.FORBIDDEN
    assert decide(rules, request(b"/pay/1"), None, NOW).outcome is Outcome.SIGN_IN


def test_a_role_that_may_only_read_is_a_rule_on_methods() -> None:
    rules = policy(
        ("/**", ["get"], make_allow(roles=["audit", "ops"])), ("/**", None, make_allow(roles=["ops"]))
    )
    auditor = person("eve", "audit")
    assert decide(rules, request(b"/x"), auditor, NOW).outcome is Outcome.ALLOW
    assert decide(rules, request(b"/x", "HEAD"), auditor, NOW).outcome is Outcome.ALLOW
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        assert decide(rules, request(b"/x", method), auditor, NOW).outcome is Outcome.FORBIDDEN


def test_the_strictest_reading_of_a_lenient_path_decides() -> None:
    rules = policy(("/admin/**", None, NOBODY), ("/**", None, PUBLIC))
    lenient = Leniency(encoded_slash=True, semicolon=True, double_slash=True)
    for path in (b"/admin%2Fx", b"/admin;x/y", b"//admin/x", b"/admin;", b"/%61dmin"):
        assert decide(rules, request(path, leniency=lenient), None, NOW).outcome is Outcome.DENY


def test_a_case_insensitive_application_has_case_insensitive_rules() -> None:
    rule = make_rule("/Admin/**", None, NOBODY, case_insensitive=True)
    facts = request(b"/aDMIN/x", leniency=Leniency(case_insensitive=True))
    assert decide(make_policy([rule]), facts, person(), NOW).outcome is Outcome.DENY


def test_a_regular_expression_matches_the_whole_path_and_nothing_else() -> None:
    rule = make_rule(None, None, PUBLIC, path_regex=r"/reports/[0-9]{4}(\.pdf)?")
    assert rule.source == r"~/reports/[0-9]{4}(\.pdf)?"
    yes = [b"/reports/2026", b"/reports/2026.pdf", b"/reports/%32026"]
    no = [b"/reports/2026/", b"/x/reports/2026", b"/reports/2026.pdfx", b"/Reports/2026", b"/reports/20267"]
    for paths, outcome in ((yes, Outcome.ALLOW), (no, Outcome.SIGN_IN)):
        for path in paths:
            facts = request(path)
            facts = facts._replace(target=facts.target._replace(query=b"/reports/2026"))
            assert decide(make_policy([rule]), facts, None, NOW).outcome is outcome, path


def test_a_regular_expression_ignores_case_where_the_application_does() -> None:
    rule = make_rule(None, None, NOBODY, path_regex="/Admin/.*", case_insensitive=True)
    facts = request(b"/aDMIN/x", leniency=Leniency(case_insensitive=True))
    assert decide(make_policy([rule]), facts, person(), NOW).outcome is Outcome.DENY
    with pytest.raises(ValueError, match=r"has \.\* and"):
        make_rule(None, None, NOBODY, path_regex="/.*x.*")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "office.example.com",
            ["office.example.com", "office.example.com:8443"],
            ["example.com", "xoffice.example.com"],
        ),
        ("OFFICE.Example.com.", ["office.example.com"], ["officexexample.com"]),
        (
            "office.example.com:443",
            ["office.example.com"],
            ["office.example.com:8443", "office.example.com:80"],
        ),
        ("office.example.com:8443", ["office.example.com:8443"], ["office.example.com"]),
        (
            "*.example.com",
            ["a.example.com", "a.b.example.com", "a.example.com:1"],
            ["example.com", "aexample.com", ".example.com"],
        ),
        ("*.example.com:8443", ["a.example.com:8443"], ["a.example.com", "a.example.com:18443"]),
        ("[::1]", ["[::1]", "[::1]:8080"], ["[::11]"]),
        ("[::1]:8080", ["[::1]:8080"], ["[::1]"]),
        ("192.0.2.7", ["192.0.2.7:1"], ["192.0.217"]),
    ],
)
def test_hosts_match_by_name_below_a_name_and_with_a_port(
    pattern: str, yes: list[str], no: list[str]
) -> None:
    rules = make_policy([make_rule(None, None, PUBLIC, hosts=[pattern])])
    for hosts, outcome in ((yes, Outcome.ALLOW), (no, Outcome.SIGN_IN)):
        for host in hosts:
            assert decide(rules, request(b"/")._replace(host=host), None, NOW).outcome is outcome, host


def test_the_scheme_says_which_port_need_not_be_written() -> None:
    rule = make_rule(None, None, PUBLIC, hosts=["office.example.com:80"], scheme="http")
    assert decide(make_policy([rule]), request(b"/"), None, NOW).outcome is Outcome.ALLOW


def test_networks_match_the_client_however_its_address_is_written() -> None:
    networks = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    rules = make_policy([make_rule(None, None, PUBLIC, networks=networks)])
    inside = ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:0a01:0203", "2001:db8::7", "2001:DB8:0::7%eth0"]
    outside = ["11.0.0.1", "::ffff:11.0.0.1", "2001:db9::1", "::10.1.2.3", "", "testclient", "10.1.2"]
    for clients, outcome in ((inside, Outcome.ALLOW), (outside, Outcome.SIGN_IN)):
        for client in clients:
            assert decide(rules, request(b"/")._replace(client=client), None, NOW).outcome is outcome, client


def test_everything_that_a_rule_names_must_match() -> None:
    rule = make_rule(
        "/a", ["POST"], NOBODY, hosts=["office.example.com"], networks=[ip_network("192.0.2.0/24")]
    )
    facts = request(b"/a", "POST")
    assert rule.source == "/a POST on office.example.com from 192.0.2.0/24"
    assert decide(make_policy([rule]), facts, person(), NOW).outcome is Outcome.DENY
    for other in (
        request(b"/b", "POST"),
        request(b"/a", "GET"),
        facts._replace(host="x.example.com"),
        facts._replace(client="192.0.3.1"),
    ):
        assert decide(make_policy([rule]), other, person(), NOW).outcome is Outcome.ALLOW


def proved_at(session: Session, at: float, methods: str = "pwd otp") -> Session:
    return session._replace(record=session.record._replace(second_factor_at=at, methods=methods))


def test_a_second_factor_must_have_been_proved_and_lately_enough() -> None:
    rules = policy(
        ("/any", None, make_allow(two_factor=ANY_TIME)), ("/fresh", None, make_allow(two_factor=600.0))
    )
    never, old = person(), proved_at(person(), NOW - 600.0)
    fresh, long_ago = proved_at(person(), NOW - 599.9), proved_at(person(), 1.0)
    trusted = proved_at(person(), 0.0, "pwd trusted")
    for session, any_time, lately in [
        (None, Outcome.SIGN_IN, Outcome.SIGN_IN),
        (never, Outcome.STEP_UP, Outcome.STEP_UP),
        (trusted, Outcome.STEP_UP, Outcome.STEP_UP),
        (long_ago, Outcome.ALLOW, Outcome.STEP_UP),
        (old, Outcome.ALLOW, Outcome.STEP_UP),
        (fresh, Outcome.ALLOW, Outcome.ALLOW),
    ]:
        assert decide(rules, request(b"/any"), session, NOW).outcome is any_time
        assert decide(rules, request(b"/fresh"), session, NOW).outcome is lately
        assert decide(rules, request(b"/other"), session, NOW).outcome in (Outcome.ALLOW, Outcome.SIGN_IN)


def test_a_code_is_asked_of_those_alone_whom_it_would_let_in() -> None:
    rules = policy(("/pay", None, make_allow(roles=["payments"], users=["bob"], two_factor=600.0)))
    assert decide(rules, request(b"/pay"), proved_at(person("eve", "audit"), NOW), NOW).outcome is (
        Outcome.FORBIDDEN
    )
    assert decide(rules, request(b"/pay"), person("eve", "audit"), NOW).outcome is Outcome.FORBIDDEN
    for someone in (person("bob"), person("ada", "payments")):
        assert decide(rules, request(b"/pay"), someone, NOW).outcome is Outcome.STEP_UP
        assert decide(rules, request(b"/pay"), proved_at(someone, NOW), NOW).outcome is Outcome.ALLOW


def test_asking_for_a_code_is_stricter_than_letting_in_and_milder_than_refusing() -> None:
    rules = policy(
        ("/a/b", None, make_allow(two_factor=ANY_TIME)), ("/c/d", None, NOBODY), ("/**", None, PUBLIC)
    )
    lenient = Leniency(encoded_slash=True, double_slash=True)
    assert decide(rules, request(b"/a%2Fb", leniency=lenient), person(), NOW).outcome is Outcome.STEP_UP
    assert decide(rules, request(b"/c//d", leniency=lenient), person(), NOW).outcome is Outcome.DENY
    assert Outcome.ALLOW < Outcome.SIGN_IN < Outcome.STEP_UP < Outcome.FORBIDDEN < Outcome.DENY
