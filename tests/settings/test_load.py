"""A whole file: its defaults, and all of its errors at once, each at its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gatekeeper.settings import SettingsError, load_settings, make_settings
from tests.settings.helpers import NEEDED, complaint, complaints, load, write


def test_two_keys_are_enough(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.public_url == "https://app.example.com"
    assert settings.public_host == "app.example.com"
    assert settings.secure
    assert settings.applications[0].url == "http://127.0.0.1:3000"
    assert settings.listen == ("127.0.0.1:8080",)
    assert settings.prefix == "/_gate"
    assert settings.session.idle_timeout == 900
    assert settings.session.absolute_timeout == 28_800
    assert settings.trusted_proxies == ()
    assert settings.database == f"sqlite+aiosqlite:///{tmp_path}/data/gatekeeper.db"


def test_settings_never_change(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(ValidationError):
        settings.prefix = "/other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.session.idle_timeout = 1.0  # type: ignore[misc]


def test_all_errors_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
        public_url: http://app.example.com
        upstrem: http://127.0.0.1:3000
        session:
          idle_timeout: 15
          idle_timout: 15m
        rules:
          - path: /admin/**
            allow: pubic
        log: {level: loud}
        """
    assert complaints(tmp_path, text) == [
        "gatekeeper.yaml:1:1: upstream: is missing: the address of the application to protect, "
        "such as http://127.0.0.1:3000",
        "gatekeeper.yaml:1:13: public_url: plain http sends passwords readable for everybody on the way; "
        "did you mean https://app.example.com? (allow_insecure_public_url: true accepts it)",
        "gatekeeper.yaml:2:1: upstrem: there is no such key, did you mean upstream?",
        "gatekeeper.yaml:4:17: session.idle_timeout: must be a duration: a number and ms, s, m, h or d, "
        "such as 500ms, 15m or 8h; did you mean 15s?",
        "gatekeeper.yaml:5:3: session.idle_timout: there is no such key, did you mean idle_timeout?",
        "gatekeeper.yaml:8:12: rules[0].allow: must be public, signed_in or deny, or a section with roles, "
        "users and two_factor, did you mean public?",
        "gatekeeper.yaml:9:14: log.level: must be debug, info, warning or error",
    ]


def test_problems_carry_their_parts(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED + "prefx: /x\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {}, create=False)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column, problem.key) == (str(path), 3, 1, "prefx")
    assert "prefix" in problem.message
    assert str(caught.value) == str(problem)


def test_a_key_at_the_wrong_level_is_led_to_the_right_one(tmp_path: Path) -> None:
    found = complaint(tmp_path, "idle_timeout: 15m\n")
    assert found.endswith("no such key here, did you mean upstream.idle_timeout or session.idle_timeout?")
    assert complaint(tmp_path, "cookie_name: x\n").endswith("did you mean session.cookie_name?")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("session: 15m\n", "session: must be a section with keys of its own"),
        ("session: [15m]\n", "session: must be a section with keys of its own"),
        ("rules: /admin\n", "rules: must be a list"),
        ("rules: [/admin]\n", "rules[0]: must be a section with keys of its own"),
        ("prefix: 12\n", "prefix: must be text: put it in quotes"),
        ("branding: {product_name: true}\n", "branding.product_name: must be text: put it in quotes"),
        ("branding: {product_name: [a]}\n", "branding.product_name: must be text"),
        ("password: {min_length: '12'}\n", "password.min_length: must be a whole number, without quotes"),
        ("password: {min_length: 12.0}\n", "password.min_length: must be a whole number, without quotes"),
        ("password: {min_length: true}\n", "password.min_length: must be a whole number, without quotes"),
        ("password: {min_length: 4}\n", "password.min_length: must be at least 8"),
        ("allow_any_proxy: 'true'\n", "allow_any_proxy: must be true or false"),
        ("allow_any_proxy: 1\n", "allow_any_proxy: must be true or false"),
        ("trusted_proxies: [5]\n", "trusted_proxies[0]: must be an address, a network or `unix`"),
        ("data_dir: 5\n", "data_dir: must be a path"),
        ("data_dir: ~/data\n", "data_dir: `~` is not expanded: write the whole path"),
        ("data_dir: ''\n", "data_dir: must be a path"),
        ("listen: []\n", "listen: must not be empty"),
        ("branding: {product_name: ''}\n", "branding.product_name: must have at least 1 characters"),
        ("limits: {request_body: 10}\n", "limits.request_body: must be a size"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_not_converted(tmp_path: Path, more: str, said: str) -> None:
    assert complaint(tmp_path, more).startswith(said)


def test_an_empty_section_has_its_defaults_but_an_empty_value_is_an_error(tmp_path: Path) -> None:
    assert load(tmp_path, "session:\n").session.idle_timeout == 900
    assert "has no value" in complaint(tmp_path, "prefix:\n")
    assert "has no value" in complaint(tmp_path, "templates_dir: null\n")
    assert complaints(tmp_path, "public_url: https://a.example\nupstream:\n") == [
        "gatekeeper.yaml:2:10: upstream: has no value: give it one, or remove the key to get its default"
    ]


def test_a_colour_lost_to_a_comment_is_noticed(tmp_path: Path) -> None:
    assert "in quotes" in complaint(tmp_path, "branding:\n  color: #1d4ed8\n")


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml", {})
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings(tmp_path, {})


def test_relative_paths_begin_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(tmp_path, NEEDED + "data_dir: mine\ndatabase: sqlite:///mine/own.db\n")
    monkeypatch.chdir(elsewhere)
    settings = load_settings(Path("../gatekeeper.yaml"), {}, create=False)
    assert settings.data_dir.resolve() == tmp_path / "mine"
    path = Path(settings.database.removeprefix("sqlite+aiosqlite:///"))
    assert path.is_absolute()
    assert Path(os.path.normpath(path)) == tmp_path / "mine/own.db"


@pytest.mark.parametrize(
    "url", ["postgresql://db/x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "x.db"]
)
def test_only_a_database_file_is_accepted(tmp_path: Path, url: str) -> None:
    assert complaint(tmp_path, f"database: '{url}'\n").startswith("database: must be sqlite:///")


def test_code_can_make_settings_without_a_file_and_without_an_upstream(tmp_path: Path) -> None:
    settings = make_settings({"public_url": "http://localhost:8080"}, base=tmp_path)
    assert settings.upstream is None
    assert settings.data_dir == tmp_path / "data"
    assert len(settings.secrets) == 1
    with pytest.raises(SettingsError) as caught:
        make_settings({"public_url": "http://localhost:8080", "prefix": "x"}, base=tmp_path)
    assert str(caught.value) == "prefix: must begin with a slash: /x"
