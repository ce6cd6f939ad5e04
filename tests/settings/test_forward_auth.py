"""`upstream: none`: said on purpose, not left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.build import create_app
from gatekeeper.settings import SettingsError, load_settings, make_settings

PUBLIC_URL = "public_url: https://office.example.com\ntrusted_proxies: 127.0.0.1\n"


def test_no_application_of_its_own_must_be_said(tmp_path: Path) -> None:
    config = tmp_path / "gatekeeper.yaml"
    config.write_text(PUBLIC_URL + "upstream: none\n")
    settings = load_settings(config, {}, create=False)
    assert settings.upstream is None and settings.forward_auth_only
    create_app(settings)

    config.write_text(PUBLIC_URL)
    with pytest.raises(SettingsError, match="upstream: is missing"):
        load_settings(config, {}, create=False)
    assert load_settings(config, {"GATEKEEPER_UPSTREAM": "none"}, create=False).forward_auth_only


def test_left_out_in_code_is_no_forward_auth() -> None:
    settings = make_settings({"public_url": "https://office.example.com"}, create=False)
    assert not settings.forward_auth_only
    with pytest.raises(ValueError, match="upstream: is missing"):
        create_app(settings)


def test_an_address_is_still_one() -> None:
    data = {"public_url": "https://office.example.com", "upstream": "http://127.0.0.1:3000"}
    assert not make_settings(data, create=False).forward_auth_only


def test_somebody_must_be_allowed_to_ask() -> None:
    data = {"public_url": "https://office.example.com", "upstream": "none"}
    with pytest.raises(
        SettingsError, match="upstream: none leaves it to another proxy to ask: trusted_proxies"
    ):
        make_settings(data, create=False)
    assert make_settings({**data, "trusted_proxies": "unix"}, create=False).forward_auth_only
