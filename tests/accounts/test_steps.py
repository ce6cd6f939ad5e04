"""The next step of a sign-in follows from facts alone."""

from __future__ import annotations

from gatekeeper.accounts.steps import next_step
from gatekeeper.core.session import SessionRecord, UserRecord

USER = UserRecord(1, "pat@example.com", "Pat Example", "", (), disabled=False, session_epoch=0)
PROVED = SessionRecord(b"k" * 32, 1, 0, 100.0, 100.0, False, "pwd", 100.0, 0.0, "192.0.2.7", "")


def test_a_proved_password_is_all_that_is_asked() -> None:
    assert next_step(PROVED, USER) == ""


def test_a_session_that_proved_nothing_gets_nowhere() -> None:
    assert next_step(PROVED._replace(methods="", first_factor_at=0.0), USER) == "password"


def test_a_disabled_user_gets_nowhere() -> None:
    assert next_step(PROVED, USER._replace(disabled=True)) == "password"
