"""The three back offices' configurations: accepted as they stand, and saying what their manuals say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli import main
from gatekeeper.settings import Settings, load_settings

CONFIG = Path(__file__).parents[2] / "config"
NAMES = ["integray", "impai", "backoffice"]


def load(name: str) -> Settings:
    return load_settings(CONFIG / f"{name}.yaml", {}, create=False)


@pytest.mark.parametrize("name", NAMES)
def test_check_accepts_it(name: str) -> None:
    done = CliRunner().invoke(main, ["check", "--config", str(CONFIG / f"{name}.yaml")])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{CONFIG / name}.yaml: OK")


def test_each_has_a_folder_of_its_own() -> None:
    assert len({load(name).data_dir for name in NAMES}) == len(NAMES)


def test_integray_remembers_for_48_hours_and_welcomes_with_four_slides() -> None:
    settings = load("integray")
    assert settings.session.remember_me and settings.session.remember == 48 * 3600
    assert (settings.branding.login_label, settings.branding.sign_in_label) == ("User login", "Log in")
    assert settings.branding.forgot_label == "Forgot password?"
    assert settings.password.first_logon == "encourage"
    assert len(settings.welcome) == 4 and all(slide.image for slide in settings.welcome)
    assert settings.branding.help_url == "https://help.example.com/"
    assert settings.mail is not None


def test_impai_calls_things_as_its_manual_does_and_has_both_timeouts() -> None:
    settings = load("impai")
    assert (settings.branding.login_label, settings.branding.sign_in_label) == ("User Name", "Login")
    assert settings.session.idle_timeout < settings.session.absolute_timeout
    assert not settings.session.remember_me


def test_the_back_office_ends_sessions_after_15_minutes_and_demands_two_factors() -> None:
    settings = load("backoffice")
    assert settings.session.idle_timeout == settings.session.absolute_timeout == 15 * 60
    assert settings.two_factor.mode == "mandatory" and settings.two_factor.trust_seconds is None
    assert settings.lockout.attempts == 5 and settings.lockout.unlock_seconds is None
    assert (settings.password.max_age, settings.password.max_unused) == ("90d", "30d")
    assert (settings.password.invitation, settings.password.first_logon) == ("password", "require")
    assert settings.branding.show_password == "checkbox"
