"""Rules, header names, prefix and the other small grammars."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings.rules import Access
from tests.settings.helpers import NEEDED, complaint, complaints, load


def test_rules_in_every_form(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        rules:
          - {path: /health, methods: GET, allow: public}
          - {path: /admin/**, allow: {roles: admin}}
          - {path: /reports/*.pdf, methods: [GET, POST], allow: {roles: [a, b], users: [pat@example.com]}}
          - {methods: DELETE, allow: deny}
          - allow: signed_in
        """,
    ).rules
    assert rules[0].methods == ("GET",)
    assert rules[1].allow == Access(roles=("admin",))
    assert rules[2].allow == Access(roles=("a", "b"), users=("pat@example.com",))
    assert (rules[3].path, rules[3].allow) == (None, "deny")
    assert rules[4].methods is None


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{path: admin, allow: deny}", "rules[0].path: must begin with a slash: /admin"),
        (
            "{path: /%61dmin, allow: deny}",
            "rules[0].path: is matched against the decoded path: write it decoded, /admin",
        ),
        ("{path: '/a?id=1', allow: deny}", "rules[0].path: has a query"),
        ("{path: '/a#b', allow: deny}", "rules[0].path: a path holds no spaces"),
        ("{path: '/a/{b,c}', allow: deny}", "rules[0].path: has `{`, which is no wildcard"),
        ("{path: '/a/../b', allow: deny}", "rules[0].path: has a dot segment"),
        ("{path: '/a**', allow: deny}", "rules[0].path: ** stands for whole segments"),
        ("{path: /a;b, allow: deny}", "rules[0].path: has `;`, which is refused before any rule unless"),
        ("{path: /a//b, allow: deny}", "rules[0].path: has `//`, which is refused before any rule unless"),
        (
            "{path: /a, methods: get, allow: deny}",
            "rules[0].methods[0]: get is not a method, did you mean GET?",
        ),
        (
            "{path: /a, methods: [PSOT], allow: deny}",
            "rules[0].methods[0]: PSOT is not a method, did you mean POST?",
        ),
        ("{path: /a, methods: [], allow: deny}", "rules[0].methods: must not be empty"),
        ("{path: /a}", "rules[0].allow: is missing: `public` (anyone)"),
        ("{path: /a, alow: deny, allow: deny}", "rules[0].alow: there is no such key, did you mean allow?"),
        (
            "{path: /a, allow: signed-in}",
            "rules[0].allow: must be public, signed_in or deny, or a section with roles",
        ),
        (
            "{path: /a, allow: [admin]}",
            "rules[0].allow: must be public, signed_in or deny, or a section with roles",
        ),
        ("{path: /a, allow: {}}", "rules[0].allow: names no role and no user"),
        ("{path: /a, allow: {roles: []}}", "rules[0].allow: names no role and no user"),
        ("{path: /a, path_regex: /b, allow: deny}", "rules[0].path_regex: is given as well as path"),
        ("{path_regex: '/(a+)+', allow: deny}", "rules[0].path_regex: repeats a repeat in (a+)+"),
        ("{path_regex: '/(', allow: deny}", "rules[0].path_regex: is no regular expression: missing )"),
        ("{path_regex: 'admin.*', allow: deny}", "rules[0].path_regex: matches no path: every path begins"),
        ("{host: 'https://a.example.com', allow: deny}", "rules[0].host[0]: is a host such as"),
        ("{host: 'a.*.example.com', allow: deny}", "rules[0].host[0]: is a host such as"),
        ("{host: '*.192.0.2.7', allow: deny}", "rules[0].host[0]: has `*.` before an address"),
        ("{host: 'a.example.com:x', allow: deny}", "rules[0].host[0]: x is not a port number"),
        ("{host: [], allow: deny}", "rules[0].host: must not be empty"),
        ("{networks: 10.0.0.1/8, allow: deny}", "rules[0].networks[0]: 10.0.0.1/8 is an address inside"),
        ("{networks: [home], allow: deny}", "rules[0].networks[0]: home is not an IP address or network"),
        ("{networks: [], allow: deny}", "rules[0].networks: must not be empty"),
        ("{path: /a, allow: {two_factor: false}}", "rules[0].allow.two_factor: must be true or a duration"),
        ("{path: /a, allow: {two_factor: 10}}", "rules[0].allow.two_factor: must be a duration"),
        ("{path: /a, allow: {two_factor: 1s}}", "rules[0].allow.two_factor: must be true, or between 30s"),
        ("{path: /a, allow: {roles: ['']}}", "rules[0].allow.roles[0]: must have at least 1 characters"),
        (
            "{path: /a, allow: {role: admin}}",
            "rules[0].allow.role: there is no such key, did you mean roles?",
        ),
    ],
)
def test_a_rule_that_would_not_do_what_it_says_is_refused(tmp_path: Path, rule: str, said: str) -> None:
    assert complaint(tmp_path, f"rules:\n  - {rule}\n").startswith(said)


def test_paths_that_upstream_is_allowed_to_have_can_be_in_rules(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.yaml"
    assert path.parent == tmp_path
    settings = load(
        tmp_path, "rules: [{path: /a;b, allow: deny}]\n", {"GATEKEEPER_UPSTREAM__ALLOW_IN_PATH": ";"}
    )
    assert settings.rules[0].path == "/a;b"


@pytest.mark.parametrize(
    ("first", "second", "dead"),
    [
        ("path: /a", "path: /a", True),
        ("path: /**", "path: /a", True),
        ("path: /**, methods: GET", "path: /a, methods: HEAD", True),
        ("methods: [GET, POST]", "path: /a, methods: GET", True),
        ("path: /**, methods: GET", "path: /a", False),
        ("path: /a, methods: GET", "path: /a, methods: POST", False),
        ("path: /a", "path: /A", False),
        ("path: /a", "path: /**", False),
        ("path_regex: /a.*", "path_regex: /a.*", True),
        ("path: /**", "path_regex: /a.*", True),
        ("methods: GET", "path_regex: /a, methods: GET", True),
        ("path_regex: /a.*", "path: /a", False),
        ("path: /a", "path_regex: /a", False),
        ("path_regex: /a", "path_regex: /b", False),
        ("path_regex: /a", "methods: GET", False),
        ("host: a.example.com", "host: A.example.com.", True),
        ("host: a.example.com", "host: 'a.example.com:8443'", True),
        ("host: '*.example.com'", "host: [a.example.com, b.c.example.com]", True),
        ("host: '*.example.com'", "host: '*.c.example.com'", True),
        ("host: '*.example.com'", "host: '*.example.com'", True),
        ("path: /**", "host: a.example.com", True),
        ("host: a.example.com", "path: /a", False),
        ("host: 'a.example.com:8443'", "host: a.example.com", False),
        ("host: a.example.com", "host: '*.example.com'", False),
        ("host: '*.example.com'", "host: example.com", False),
        ("host: '*.c.example.com'", "host: '*.example.com'", False),
        ("host: '*.example.com'", "host: [a.example.com, a.example.net]", False),
        ("networks: 10.0.0.0/8", "networks: [10.1.0.0/16, 10.2.3.4]", True),
        ("networks: '::ffff:10.0.0.0/104'", "networks: 10.1.0.0/16", True),
        ("path: /**", "networks: 10.1.0.0/16", True),
        ("networks: 10.0.0.0/8", "path: /a", False),
        ("networks: 10.1.0.0/16", "networks: 10.0.0.0/8", False),
        ("networks: 10.0.0.0/8", "networks: [10.1.0.0/16, '2001:db8::1']", False),
        ("networks: 10.0.0.0/8, methods: GET", "networks: 10.0.0.0/8", False),
    ],
)
def test_a_rule_that_can_never_decide_is_an_error(
    tmp_path: Path, first: str, second: str, dead: bool
) -> None:
    text = f"rules:\n  - {{{first}, allow: public}}\n  - {{{second}, allow: deny}}\n"
    if dead:
        said = "rules[1]: never decides anything: rules[0] comes first and matches all that it does"
        assert complaint(tmp_path, text) == said
    else:
        assert len(load(tmp_path, text).rules) == 2


def test_rules_on_hosts_networks_and_proofs(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """\
        rules:
          - {host: '*.Example.com.', path_regex: '/a/[0-9]+', networks: '::ffff:10.0.0.0/104', allow: deny}
          - {host: ['[::1]:8080', münchen.example], allow: {two_factor: true}}
          - {path: /a, networks: [192.0.2.7, '2001:db8::/32'], allow: {roles: a, two_factor: 10m}}
        """,
    ).rules
    assert (rules[0].host, rules[0].path_regex) == (("*.example.com",), "/a/[0-9]+")
    assert list(map(str, rules[0].networks or ())) == ["10.0.0.0/8"]
    assert rules[1].host == ("[::1]:8080", "xn--mnchen-3ya.example")
    assert rules[1].allow == Access(two_factor=True)
    assert isinstance(rules[2].allow, Access) and rules[2].allow.two_factor == 600.0
    assert list(map(str, rules[2].networks or ())) == ["192.0.2.7/32", "2001:db8::/32"]


def test_a_second_factor_that_is_off_cannot_be_asked_for(tmp_path: Path) -> None:
    said = complaint(tmp_path, "two_factor: {mode: 'off'}\nrules: [{allow: {two_factor: true}}]\n")
    assert said.startswith("rules[0].allow.two_factor: lets nobody in with two_factor.mode: off")


def test_a_regular_expression_must_mean_the_same_where_case_is_ignored(tmp_path: Path) -> None:
    rules = "rules: [{path_regex: '/größe', allow: deny}]\n"
    assert load(tmp_path, rules).rules[0].path_regex == "/größe"
    (said,) = complaints(tmp_path, NEEDED + rules, {"GATEKEEPER_UPSTREAM__CASE_INSENSITIVE": "true"})
    assert "rules[0].path_regex: has a letter beyond ASCII" in said


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("_gate", "must begin with a slash: /_gate"),
        ("/_gate/", "must not end with a slash: /_gate"),
        ("/", "must be a plain path"),
        ("//gate", "must be a plain path"),
        ("/a/../b", "must be a plain path"),
        ("/.well-known", "must be a plain path"),
        ("/a b", "must be a plain path"),
        ("/a?b", "must be a plain path"),
        ("/%41", "must be a plain path"),
    ],
)
def test_the_prefix_is_a_plain_path(tmp_path: Path, prefix: str, said: str) -> None:
    assert complaint(tmp_path, f"prefix: '{prefix}'\n").startswith(f"prefix: {said}")
    assert load(tmp_path, "prefix: /auth/gate\n").prefix == "/auth/gate"


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        (
            "{user: Remote_User}",
            "identity.user: must be a header name of letters, digits and hyphens; did you mean Rem",
        ),
        ("{user: 'Remote User:'}", "identity.user: must be a header name"),
        ("{user: Host}", "identity.user: Host has another meaning in HTTP"),
        ("{user: x-forwarded-for}", "identity.user: x-forwarded-for has another meaning"),
        ("{user: X-A, name: x-a}", "identity.name: x-a is the header for `user` already"),
        ("{user: Remote-Email}", "identity.user: Remote-Email is the header for `email` already"),
    ],
)
def test_identity_headers_are_distinct_tokens(tmp_path: Path, identity: str, said: str) -> None:
    assert complaint(tmp_path, f"identity: {identity}\n").startswith(said)


def test_identity_headers_can_be_left_out(tmp_path: Path) -> None:
    identity = load(tmp_path, 'identity: {name: "", email: "", user: X-User}\n').identity
    assert (identity.user, identity.name, identity.email) == ("X-User", "", "")


@pytest.mark.parametrize("name", ["__Host-gk", "gate-keeper", "1gk", "", "a b", "g" * 65, "gk;"])
def test_the_cookie_name_is_one_that_nginx_can_read(tmp_path: Path, name: str) -> None:
    assert complaint(tmp_path, f"session: {{cookie_name: '{name}'}}\n").startswith("session.cookie_name: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("help@example.com", "did you mean mailto:help@example.com?"),
        ("javascript:alert(1)", "must be an https://"),
    ]
    + [
        ("//evil.example", "must be an https://"),
        ("https://", "must be an https://"),
        ("mailto:", "must be"),
    ],
)
def test_the_help_link_is_one_that_is_safe_to_follow(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, f"branding: {{help_url: '{text}'}}\n")
    assert load(tmp_path, "branding: {help_url: https://help.example.com/x}\n").branding.help_url
