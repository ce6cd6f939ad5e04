"""Rules: first match wins, the strictest reading wins, and nothing can make matching slow."""

from __future__ import annotations

import time

import pytest

from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.policy import (
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
