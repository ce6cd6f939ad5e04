"""`gatekeeper explain`: which rule decides, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli import main

YAML = """\
public_url: https://office.example.com
upstream: {url: http://127.0.0.1:3000, logout_paths: [/account/logout]}
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
    assert found["headers"] == {
        "remote-user": "paula",
        "remote-groups": "payments",
        "x-gatekeeper-assertion": "(JWT, signed for https://office.example.com)",
    }


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
        ("/_gate/account", "/_gate/account is a page of Gatekeeper itself: no rule is asked"),
        ("/_gate", "a page of Gatekeeper itself"),
        ("/.well-known/change-password", "a page of Gatekeeper itself"),
        ("/account/logout/", "leads to Gatekeeper's sign-out (logout_paths): no rule is asked"),
    ],
)
def test_what_is_refused_before_any_rule_is_said_so(config: str, url: str, message: str) -> None:
    code = 2 if url.startswith("ftp") else 1
    assert message in run("explain", url, config=config, code=code)


def test_an_unknown_user_is_an_error(config: str) -> None:
    assert "there is no account 'nobody'" in run("explain", "/", "--user", "nobody", config=config, code=1)


MORE = """\
two_factor: {mode: optional}
"""
RULES = """\
  - {path: /vault/**, host: "*.example.com", networks: [10.0.0.0/8], allow: {two_factor: 10m}}
  - {path_regex: "/vault/[0-9]+", allow: {users: [paula], two_factor: true}}
"""


@pytest.fixture
def more(config: str) -> str:
    Path(config).write_text(MORE + YAML + RULES)
    return config


def test_the_client_decides_and_an_unknown_one_is_in_no_network(more: str) -> None:
    words = ["explain", "/vault/7", "--user", "paula", "--second-factor", "5m"]
    assert "→ rules[4] /vault/** on *.example.com from 10.0.0.0/8: path, host and client match" in run(
        *words, "--ip", "::ffff:10.1.2.3", config=more
    )
    elsewhere = run(*words, "--ip", "192.0.2.7", config=more)
    assert "rules[4] /vault/** on *.example.com from 10.0.0.0/8: client 192.0.2.7 is in none" in elsewhere
    assert "→ rules[5] ~/vault/[0-9]+: path matches; only user paula may" in elsewhere
    assert "the client's address is unknown" in run(*words, config=more)
    assert "is not an IP address" in run(*words, "--ip", "here", config=more, code=2)


@pytest.mark.parametrize(
    ("proof", "answer"),
    [
        (["--second-factor", "5m"], "allowed by rules[4]"),
        (["--second-factor", "10m"], "who proved a second factor 600 s ago and has none set up"),
        (["--second-factor", "never"], "asked for a second factor (pages) or answered 401"),
        ([], "who proved no second factor and has none set up: they are led to setting one up"),
    ],
)
def test_the_second_factor_is_proved_as_long_ago_as_one_says(
    more: str, proof: list[str], answer: str
) -> None:
    output = run("explain", "/vault/7", "--user", "paula", "--ip", "10.0.0.1", *proof, config=more)
    assert answer in output
    assert "with a second factor proved less than 10 min ago" in output


def test_a_host_is_normalised_or_foreign(more: str) -> None:
    found = json.loads(run("explain", "/x", "--host", "OFFICE.example.com.:443", "--json", config=more))
    assert found["host"] == "office.example.com"
    assert "421 before any rule" in run("explain", "/x", "--host", "evil.example", config=more, code=1)


def logged(outcome: str, **facts: object) -> str:
    line = {
        "event": "request",
        "request_id": "ab12",
        "client": "10.0.0.9",
        "method": "POST",
        "path": "/payments/é 7",
        "status": 403,
        "outcome": outcome,
        "rule": 2,
        "login": "audrey",
    }
    return json.dumps(line | facts)


def explain_logged(config: str, text: str, *words: str, code: int = 0) -> str:
    words = ("explain", "--request", "ab12", "--log", "-", *words, "--config", config)
    result = CliRunner().invoke(main, [*words], input=text)
    assert result.exit_code == code, result.output
    return result.output


def test_a_denial_is_found_in_the_log_and_explained(config: str) -> None:
    text = "\n".join(["starting", '{"event": "other"}', logged("x", request_id="cd"), logged("forbidden")])
    output = explain_logged(config, text.replace("{", "Nov 21 host gatekeeper[7]: {"))
    assert "POST /payments/é 7 from 10.0.0.9" in output
    assert "Answer: refused with 403 by rules[2]; signed in as audrey" in output
    assert "The log: 403, forbidden by rules[2]; it would be the same now" in output
    found = json.loads(explain_logged(config, logged("forbidden", rule=1), "--json"))
    assert "different now" in found["logged"]["compared"]


def test_a_log_in_a_file_is_read_too(config: str, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(logged("forbidden"))
    assert "403" in run("explain", "--request", "ab12", "--log", str(log), config=config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (logged("path_dot_segment", status=400), "answered 400 (path dot segment), which no rule decided"),
        (logged("own_page", path="/_gate/login"), "is a page of Gatekeeper itself"),
        (logged("foreign_origin"), "opened by a foreign origin"),
        (logged("x", request_id="other"), "there is no request 'ab12' in this log"),
        ("12:00:00 GET / 200 allow 1.0 ms ab12\n{not json", "there is no line of an access log"),
    ],
)
def test_what_the_rules_did_not_decide_or_the_log_does_not_hold(config: str, text: str, said: str) -> None:
    assert said in explain_logged(config, text, code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name an address, or a request"),
        (["/x", "--request", "ab12"], "not both"),
        (["--request", "ab12"], "keeps none itself"),
    ],
)
def test_one_has_to_say_what_to_explain(config: str, words: list[str], said: str) -> None:
    assert said in " ".join(run("explain", *words, config=config, code=2).split())
