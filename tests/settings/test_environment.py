"""Environment variables override the file, and their problems name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings.environment import variable_name
from tests.settings.helpers import NEEDED, complaint, complaints, load


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "GATEKEEPER_SESSION__IDLE_TIMEOUT": "5m",
        "GATEKEEPER_PREFIX": "/auth",
        "GATEKEEPER_ALLOW_ANY_PROXY": "true",
        "GATEKEEPER_PASSWORD__MIN_LENGTH": "15",
        "GATEKEEPER_BRANDING__PRODUCT_NAME": "123",
        "PATH": "/bin",
    }
    settings = load(tmp_path, "session: {idle_timeout: 10m, absolute_timeout: 1h}\n", environ)
    assert settings.session.idle_timeout == 300
    assert settings.session.absolute_timeout == 3600
    assert settings.prefix == "/auth"
    assert settings.allow_any_proxy is True
    assert settings.password.min_length == 15
    assert settings.branding.product_name == "123"


def test_lists_are_written_with_commas_or_as_in_the_file(tmp_path: Path) -> None:
    environ = {
        "GATEKEEPER_LISTEN": "127.0.0.1:1, 127.0.0.1:2",
        "GATEKEEPER_TRUSTED_PROXIES": "['10.0.0.1', unix]",
        "GATEKEEPER_RULES": '[{"path": "/health", "allow": "public"}, {allow: {roles: [a]}}]',
        "GATEKEEPER_SESSION__BACKGROUND_PATHS": "",
    }
    settings = load(tmp_path, "session: {background_paths: /poll}\n", environ)
    assert settings.listen == ("127.0.0.1:1", "127.0.0.1:2")
    assert len(settings.trusted_proxies) == 2
    assert [rule.path for rule in settings.rules] == ["/health", None]
    assert settings.session.background_paths == ()


@pytest.mark.parametrize("form", ["http://127.0.0.1:1", "{url: 'http://127.0.0.1:1', host: keep}"])
def test_the_upstream_is_set_whole_or_by_key(tmp_path: Path, form: str) -> None:
    settings = load(tmp_path, "", {"GATEKEEPER_UPSTREAM": form})
    assert settings.applications[0].url == "http://127.0.0.1:1"
    settings = load(tmp_path, "", {"GATEKEEPER_UPSTREAM__MAX_CONNECTIONS": "7"})
    assert (settings.applications[0].url, settings.applications[0].max_connections) == (
        "http://127.0.0.1:3000",
        7,
    )


def test_the_environment_can_supply_what_the_file_lacks(tmp_path: Path) -> None:
    environ = {"GATEKEEPER_PUBLIC_URL": "https://a.example", "GATEKEEPER_UPSTREAM": "http://app:1"}
    assert complaints(tmp_path, "log: {level: info}\n", environ) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "GATEKEEPER_SESSION__IDLE_TIMOUT",
            "5m",
            "GATEKEEPER_SESSION__IDLE_TIMOUT: no key has this variable, "
            "did you mean GATEKEEPER_SESSION__IDLE_TIMEOUT?",
        ),
        ("GATEKEEPER_ZZZ", "5m", "GATEKEEPER_ZZZ: no key has this variable"),
        ("GATEKEEPER_PREFIX", "auth", "GATEKEEPER_PREFIX: prefix: must begin with a slash: /auth"),
        ("GATEKEEPER_SESSION", "5m", "GATEKEEPER_SESSION: session: is a section: set its keys one by one"),
        (
            "GATEKEEPER_ALLOW_ANY_PROXY",
            "yes",
            "GATEKEEPER_ALLOW_ANY_PROXY: allow_any_proxy: must be true or false",
        ),
        (
            "GATEKEEPER_PASSWORD__MIN_LENGTH",
            "012",
            "GATEKEEPER_PASSWORD__MIN_LENGTH: password.min_length: must be a",
        ),
        ("GATEKEEPER_LISTEN", "localhost", "GATEKEEPER_LISTEN: listen[0]: needs a port"),
        (
            "GATEKEEPER_RULES",
            "[{path: /a, allow: no}]",
            "GATEKEEPER_RULES: rules: YAML reads this as true or false",
        ),
        ("GATEKEEPER_RULES", "[{path: /a", "GATEKEEPER_RULES: rules: "),
        ("GATEKEEPER_RULES", "[{path: /a, alow: deny}]", "GATEKEEPER_RULES: rules[0].a"),
        ("GATEKEEPER_PREFIX", "/a\x01", "GATEKEEPER_PREFIX: prefix: the character U+0001 is not allowed"),
        ("GATEKEEPER_PREFIX", "/a\udcff", "GATEKEEPER_PREFIX: prefix: the character U+DCFF is not allowed"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    found = complaints(tmp_path, NEEDED, {name: value})
    assert found
    assert all(text.startswith(f"{name}: ") for text in found)
    assert found[0].startswith(said)


def test_one_key_is_not_set_by_two_variables(tmp_path: Path) -> None:
    environ = {"GATEKEEPER_UPSTREAM": "http://a:1", "GATEKEEPER_UPSTREAM__URL": "http://b:1"}
    assert complaint(tmp_path, "", environ) == (
        "GATEKEEPER_UPSTREAM__URL: upstream.url: is set by GATEKEEPER_UPSTREAM as well"
    )


def test_a_variable_for_a_section_that_the_file_has_as_text_reports_the_file(tmp_path: Path) -> None:
    found = complaint(tmp_path, "session: 15m\n", {"GATEKEEPER_SESSION__IDLE_TIMEOUT": "5m"})
    assert found == "session: must be a section with keys of its own"


def test_a_shared_alias_is_overridden_in_one_place_only(tmp_path: Path) -> None:
    text = "branding: &b {product_name: A}\n"
    assert load(tmp_path, text, {"GATEKEEPER_BRANDING__PRODUCT_NAME": "B"}).branding.product_name == "B"


def test_what_kubernetes_says_about_a_service_of_our_name_is_passed_over(tmp_path: Path) -> None:
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
    assert load(tmp_path, "", {f"GATEKEEPER_{name}": "tcp://10.0.0.1:80" for name in names})


def test_a_variables_name_is_its_path() -> None:
    assert variable_name(("session", "idle_timeout")) == "GATEKEEPER_SESSION__IDLE_TIMEOUT"
