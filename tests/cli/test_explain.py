"""`gatekeeper explain`: which rule decides, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli import main

YAML = """\
public_url: https://office.example.com
upstream: http://127.0.0.1:3000
rules:
  - {path: /health, allow: public}
  - {path: /payments/**, methods: [GET], allow: {roles: [payments, audit]}}
  - {path: /payments/**, allow: {roles: [payments]}}
  - {path: /internal/**, allow: deny}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "gatekeeper.yaml"
    path.write_text(YAML)
    for login, role in [("paula", "payments"), ("audrey", "audit"), ("gone", "payments")]:
        done = run("user", "add", login, "--role", role, "--password-stdin", config=str(path))
        assert done == "" or "added" in done.lower() or login in done
    run("user", "disable", "gone", config=str(path))
    return str(path)


def run(*words: str, config: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, [*words, "--config", config], input="four random words here\n")
    assert result.exit_code == code, result.output
    return result.output


def test_the_rule_that_decides_is_marked_and_the_others_say_why_not(config: str) -> None:
    output = run("explain", "/payments/7", "--user", "audrey", "--method", "post", config=config)
    assert "rules[1] /payments/** GET,HEAD: is about GET, HEAD, not POST" in output
    assert "→ rules[2] /payments/**: path matches; only role payments may" in output
    assert "Answer: refused with 403 by rules[2]; signed in as audrey" in output


def test_the_headers_that_the_application_would_get(config: str) -> None:
    found = json.loads(
        run(
            "explain", "https://office.example.com/payments/7?x=1", "--user", "PAULA", "--json", config=config
        )
    )
    assert (found["outcome"], found["rule"]) == ("allow", 1)
    assert found["headers"] == {"remote-user": "paula", "remote-groups": "payments"}


@pytest.mark.parametrize(
    ("url", "user", "answer"),
    [
        ("/health", None, "allowed by rules[0]; nobody is signed in"),
        ("/orders", None, "sent to sign-in (pages) or answered 401 (scripts) by default"),
        ("/internal/x", "paula", "refused with 403 by rules[3]; nobody may"),
        ("/orders", "gone", "gone is disabled and cannot sign in"),
    ],
)
def test_every_kind_of_answer_has_words(config: str, url: str, user: str | None, answer: str) -> None:
    words = ["explain", url, *(["--user", user] if user else [])]
    assert answer in run(*words, config=config)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/a/../b", "answered 400 before any rule: path dot segment"),
        ("https://evil.example/", "answered 421 before any rule"),
        ("ftp://office.example.com/", "must be a path"),
    ],
)
def test_what_is_refused_before_any_rule_is_said_so(config: str, url: str, message: str) -> None:
    code = 2 if url.startswith("ftp") else 1
    assert message in run("explain", url, config=config, code=code)


def test_an_unknown_user_is_an_error(config: str) -> None:
    assert "there is no account 'nobody'" in run("explain", "/", "--user", "nobody", config=config, code=1)
