"""Which Content-Security-Policies let the session script run, and with what."""

from __future__ import annotations

import pytest

from gatekeeper.upstream.csp import Addresses, Admission, admit, parse_policies

HERE = Addresses("https://office.example.com", "/_gate/static/session.js", "/_gate/session")


def judged(*values: str, here: Addresses = HERE, meta: bool = False) -> Admission:
    return admit(parse_policies(values, meta=meta), here)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "img-src 'none'",
        "default-src 'self'",
        "DEFAULT-SRC 'SELF'",
        "default-src *",
        "default-src https:",
        "default-src http:",
        "script-src office.example.com",
        "script-src https://office.example.com",
        "script-src http://office.example.com",
        "script-src OFFICE.example.com:443",
        "script-src http://office.example.com:80",
        "script-src office.example.com:*",
        "script-src *.example.com",
        "script-src https://office.example.com/_gate/",
        "script-src https://office.example.com/_gate/static/session.js",
        "script-src 'none' 'self'",
        "default-src 'none'; script-src 'self'; connect-src 'self'",
        "default-src 'none'; script-src-elem 'self'; connect-src https://office.example.com/_gate/",
        "script-src 'self'; script-src 'none'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'sha256-AAAA'",
        "script-src-attr 'none'; script-src 'self'",
        "sandbox allow-scripts allow-same-origin allow-forms; script-src 'self'",
        "require-trusted-types-for 'script'; trusted-types one; script-src 'self'",
        "style-src 'none'; script-src 'self'; connect-src 'self'",
    ],
)
def test_a_policy_that_lets_it_run_as_it_is(policy: str) -> None:
    assert judged(policy) == Admission("", "")


@pytest.mark.parametrize(
    ("policy", "directive"),
    [
        ("default-src 'none'", "default-src"),
        ("script-src 'none'", "script-src"),
        ("script-src", "script-src"),
        ("script-src-elem cdn.example.com; script-src 'self'", "script-src-elem"),
        ("script-src 'unsafe-inline'", "script-src"),
        ("script-src 'self' 'strict-dynamic'", "script-src"),
        ("script-src 'sha256-AAAA' 'strict-dynamic'", "script-src"),
        ("script-src example.com", "script-src"),
        ("script-src *.office.example.com", "script-src"),
        ("script-src badoffice.example.com", "script-src"),
        ("script-src office.example.com:8443", "script-src"),
        ("script-src ws:", "script-src"),
        ("script-src data: blob:", "script-src"),
        ("script-src https://office.example.com/static/", "script-src"),
        ("script-src https://office.example.com/_gate/static/session.js.bak", "script-src"),
        ("connect-src 'none'", "connect-src"),
        ("script-src 'self'; connect-src api.example.com", "connect-src"),
        ("script-src 'self'; default-src 'none'", "default-src"),
        ("connect-src https://office.example.com/_gate/session", "connect-src"),
        ("sandbox", "sandbox"),
        ("sandbox allow-scripts", "sandbox"),
        ("sandbox allow-same-origin allow-forms", "sandbox"),
        ("script-src 'nonce-'", "script-src"),
        ("script-src 'nonce-<x>'", "script-src"),
    ],
)
def test_a_policy_that_keeps_it_out_and_by_what(policy: str, directive: str) -> None:
    assert judged(policy) == Admission("", directive)


@pytest.mark.parametrize(
    ("policies", "nonce"),
    [
        (["script-src 'nonce-abc+/=='"], "abc+/=="),
        (["script-src 'NONCE-aBc' 'strict-dynamic'"], "aBc"),
        (["script-src 'self' 'nonce-abc' 'strict-dynamic' https:"], "abc"),
        (["script-src 'self' 'nonce-abc'"], ""),
        (["script-src 'nonce-one' 'nonce-two'", "script-src 'nonce-two'"], "two"),
        (["script-src 'nonce-one', script-src 'nonce-three' 'nonce-one'"], "one"),
        (["script-src 'nonce-one'", "default-src 'self'"], "one"),
    ],
)
def test_a_nonce_is_used_where_it_is_needed(policies: list[str], nonce: str) -> None:
    assert judged(*policies) == Admission(nonce, "")


def test_every_policy_must_let_it_run() -> None:
    assert judged("script-src 'self'", "script-src cdn.example.com").refused_by == "script-src"
    assert judged("script-src 'self', script-src 'none'").refused_by == "script-src"
    assert judged("script-src 'nonce-one'", "script-src 'nonce-two'").refused_by == "script-src"


def test_a_meta_element_cannot_sandbox() -> None:
    assert judged("sandbox; frame-ancestors 'none'", meta=True) == Admission("", "")
    assert judged("sandbox; script-src 'none'", meta=True).refused_by == "script-src"


def test_a_port_of_ones_own_must_be_named() -> None:

    here = Addresses("http://127.0.0.1:8080", HERE.script, HERE.endpoint)
    assert judged("script-src 127.0.0.1:8080", here=here) == Admission("", "")
    assert judged("script-src 127.0.0.1", here=here).refused_by == "script-src"
    assert judged("script-src https:", here=here).refused_by == "script-src"
    assert judged("script-src 'self'", here=here) == Admission("", "")
