"""The password section: when passwords must change."""

from __future__ import annotations

import pytest

from gatekeeper.build.passwords import make_expiry_policy, make_password_policy, make_step_policy
from gatekeeper.settings import SettingsError, make_settings

DAY = 86_400.0
MIN = {"public_url": "https://backoffice.example.com", "upstream": "http://127.0.0.1:3000"}


def test_the_defaults_are_ninety_days_thirty_days_and_five_passwords() -> None:
    settings = make_settings(MIN, create=False)
    steps, expiry, passwords = (
        make_step_policy(settings),
        make_expiry_policy(settings),
        make_password_policy(settings),
    )
    assert (steps.password_max_age, steps.password_unused, steps.first_logon) == (
        90 * DAY,
        30 * DAY,
        "require",
    )
    assert expiry == (90 * DAY, 30 * DAY, 14 * DAY)
    assert (passwords.min_length, passwords.nist, passwords.history) == (12, False, 5)
    assert passwords.steps == steps


def test_every_key_reaches_the_policies() -> None:
    section = {
        "min_length": 10,
        "profile": "nist",
        "history": 3,
        "max_age": "60d",
        "max_unused": "never",
        "remind_before": "never",
        "first_logon": "encourage",
    }
    settings = make_settings({**MIN, "password": section}, create=False)
    steps, passwords = make_step_policy(settings), make_password_policy(settings)
    assert (steps.password_max_age, steps.password_unused, steps.first_logon) == (60 * DAY, None, "encourage")
    assert make_expiry_policy(settings) == (60 * DAY, None, None)
    assert (passwords.min_length, passwords.nist, passwords.history) == (10, True, 3)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"max_age": "10d"}, "password.max_age: remind_before (14d) must be shorter than max_age (10d)"),
        ({"remind_before": "90d"}, "password.remind_before: remind_before (90d) must be shorter"),
        ({"max_age": "always"}, "password.max_age: must be a duration"),
        ({"max_age": "1s"}, "password.max_age: must be never, or between 1m and 3650d"),
        ({"history": 0}, "password.history: must be at least 1"),
        ({"first_logon": "maybe"}, "password.first_logon"),
        ({"profile": "pci"}, "password.profile"),
    ],
)
def test_mistakes_are_said(section: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings({**MIN, "password": section}, create=False)
    (problem,) = caught.value.problems
    assert said in str(problem)


def test_without_passwords_there_must_be_another_way_in_and_nobody_is_reminded_of_one() -> None:
    section = {"sign_in": False}
    with pytest.raises(SettingsError) as caught:
        make_settings({**MIN, "password": section}, create=False)
    assert "password.sign_in: false leaves no way in: configure microsoft or oidc" in str(caught.value)
    oidc = [{"name": "id", "issuer": "https://id.example.com", "client_id": "gatekeeper"}]
    settings = make_settings({**MIN, "password": section, "oidc": oidc}, create=False)
    assert make_expiry_policy(settings) == (None, None, None)
