"""`lockout` and `rate_limits`: what may be written, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.settings import Settings, SettingsError, make_settings
from gatekeeper.settings.lockout import parse_rate


def made(**sections: Any) -> Settings:
    data = {"public_url": "https://app.example.com", "upstream": "http://127.0.0.1:3000"}
    return make_settings({**data, **sections}, create=False)


def test_by_default_five_failures_lock_until_somebody_unlocks() -> None:
    lockout = made().lockout
    assert (lockout.attempts, lockout.unlock_seconds) == (5, None)


def test_a_lock_can_end_by_time() -> None:
    assert made(lockout={"unlock_after": "30m"}).lockout.unlock_seconds == 1800.0
    assert made(lockout={"unlock_after": "never"}).lockout.unlock_seconds is None


@pytest.mark.parametrize("value", ["", "0s", "30", 30, "soon", "Never", "366d"])
def test_what_is_no_time_to_unlock_after_is_refused(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        made(lockout={"unlock_after": value})
    assert [problem.key for problem in caught.value.problems] == ["lockout.unlock_after"]


@pytest.mark.parametrize(
    ("value", "hint"), [(30, "; did you mean 30m?"), ("30", "; did you mean 30m?"), ("soon", ""), (True, "")]
)
def test_how_a_time_to_unlock_after_is_written_is_said_at_once(value: object, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        made(lockout={"unlock_after": value})
    assert caught.value.problems[0].message == f"must be a duration such as 30m, or never{hint}"


@pytest.mark.parametrize("value", [50, "50", 2.5])
def test_how_a_rate_is_written_is_said_at_once(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        made(rate_limits={"passwords": {"client": value}})
    message = "must be a number, a slash and a duration, such as 50/5m, or unlimited"
    assert caught.value.problems[0].message == message


@pytest.mark.parametrize("value", [0, -1, 101, "5", 2.5, True])
def test_what_is_no_number_of_attempts_is_refused(value: object) -> None:
    with pytest.raises(SettingsError):
        made(lockout={"attempts": value})


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("50/5m", (50, 300.0)), ("1/1s", (1, 1.0)), ("9999999/365d", (9_999_999, 31_536_000.0))],
)
def test_a_rate_is_a_number_in_a_time(text: str, meaning: tuple[int, float]) -> None:
    assert parse_rate(made(rate_limits={"codes": {"client": text}}).rate_limits.codes.client) == meaning


def test_a_rate_can_be_switched_off() -> None:
    assert parse_rate(made(rate_limits={"mails": {"total": "unlimited"}}).rate_limits.mails.total) is None


@pytest.mark.parametrize("value", ["", "50", "50/", "/5m", "50/5", "0/5m", "-1/5m", "50/0s", "50/366d", 50])
def test_what_is_no_rate_is_refused_where_it_stands(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        made(rate_limits={"passwords": {"account": value}})
    assert [problem.key for problem in caught.value.problems] == ["rate_limits.passwords.account"]
