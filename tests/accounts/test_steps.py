"""The next step of a sign-in follows from facts and the operator's policy alone."""

from __future__ import annotations

from gatekeeper.accounts.steps import make_next_step
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.core.steps import StepPolicy

USER = UserRecord(1, "pat@example.com", "Pat Example", "", (), disabled=False, session_epoch=0)
PROVED = SessionRecord(b"k" * 32, 1, 0, 100.0, 100.0, False, "pwd", 100.0, 0.0, "192.0.2.7", "")

next_step = make_next_step(StepPolicy())


def test_a_proved_password_is_all_that_is_asked() -> None:
    assert next_step(PROVED, USER) == ""


def test_a_session_that_proved_nothing_gets_nowhere() -> None:
    assert next_step(PROVED._replace(methods="", first_factor_at=0.0), USER) == "password"


def test_a_disabled_user_gets_nowhere() -> None:
    assert next_step(PROVED, USER._replace(disabled=True)) == "password"


def test_the_operator_decides_what_else_is_asked() -> None:
    assert make_next_step(StepPolicy(two_factor="mandatory"))(PROVED, USER) == "second_factor_setup"
    assert make_next_step(StepPolicy(welcome=True))(PROVED, USER) == "welcome"


def test_steps_are_plain_strings() -> None:
    assert type(make_next_step(StepPolicy(welcome=True))(PROVED, USER)) is str
