"""Rules, header names, prefix and the other small grammars."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings.rules import Access
from tests.settings.helpers import complaint, load


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
