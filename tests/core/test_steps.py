"""Sign-in as a state machine: the step follows from facts."""

from __future__ import annotations

import pytest

from gatekeeper.core.session import EndReason, SessionRecord, Timeouts, UserRecord, ended
from gatekeeper.core.steps import Step, StepPolicy, Why, next_step, why_new_password

DAY = 86_400.0
NOW = 1_000 * DAY
RECORD = SessionRecord(b"k" * 32, 1, 0, NOW, NOW, False, "pwd", NOW, 0.0, "", "")
USER = UserRecord(
    1,
    "ada",
    "",
    "",
    ("ops",),
    False,
    0,
    password_changed_at=NOW - DAY,
    last_sign_in_at=NOW - DAY,
    welcomed=True,
)
POLICY = StepPolicy(two_factor="optional", password_max_age=90 * DAY, password_unused=30 * DAY, welcome=True)


def test_nothing_left_to_do() -> None:
    assert next_step(RECORD, USER, POLICY) is Step.DONE
    assert next_step(RECORD, USER, StepPolicy()) is Step.DONE


def test_without_a_first_factor_or_disabled_there_is_only_the_password() -> None:
    assert next_step(RECORD._replace(first_factor_at=0.0), USER, POLICY) is Step.PASSWORD
    assert next_step(RECORD, USER._replace(disabled=True), POLICY) is Step.PASSWORD


def test_the_whole_way_of_a_new_colleague_in_order() -> None:
    policy = POLICY._replace(two_factor="mandatory")
    record = RECORD
    user = USER._replace(must_change="first_logon", welcomed=False, last_sign_in_at=0.0)
    assert next_step(record, user, policy) is Step.NEW_PASSWORD
    user = user._replace(must_change="", password_changed_at=NOW + 1)
    assert next_step(record, user, policy) is Step.SET_UP
    user, record = user._replace(second_factor=True), record._replace(second_factor_at=NOW + 2)
    assert next_step(record, user, policy) is Step.WELCOME
    assert next_step(record, user._replace(welcomed=True), policy) is Step.DONE


def test_a_second_factor_comes_before_anything_that_changes_the_account() -> None:
    user = USER._replace(second_factor=True, must_change="reset")
    assert next_step(RECORD, user, POLICY) is Step.SECOND_FACTOR
    proved = RECORD._replace(second_factor_at=NOW)
    assert next_step(proved, user, POLICY) is Step.NEW_PASSWORD
    assert next_step(RECORD._replace(methods="pwd trusted"), user, POLICY) is Step.NEW_PASSWORD


@pytest.mark.parametrize(
    ("changed", "last", "why"),
    [
        (NOW - 90 * DAY + 1, NOW - DAY, Why.NOT),
        (NOW - 90 * DAY, NOW - DAY, Why.EXPIRED),
        (NOW - 80 * DAY, NOW - 30 * DAY + 1, Why.NOT),
        (NOW - 80 * DAY, NOW - 30 * DAY, Why.UNUSED),
        (NOW - 29 * DAY, 0.0, Why.NOT),
        (NOW - 31 * DAY, 0.0, Why.UNUSED),
        (NOW + 1, NOW - 300 * DAY, Why.NOT),
    ],
)
def test_passwords_expire_to_the_second(changed: float, last: float, why: Why) -> None:
    user = USER._replace(password_changed_at=changed, last_sign_in_at=last)
    assert why_new_password(RECORD, user, POLICY) is why
    assert (next_step(RECORD, user, POLICY) is Step.NEW_PASSWORD) == (why is not Why.NOT)
    assert next_step(RECORD, user, StepPolicy()) is Step.DONE
    assert next_step(RECORD._replace(methods="fed"), user, POLICY) is Step.DONE


def test_an_encouraged_change_can_be_skipped_and_a_required_one_cannot() -> None:
    user, skipped = USER._replace(must_change="first_logon"), RECORD._replace(skipped="new_password")
    assert next_step(skipped, user, POLICY) is Step.NEW_PASSWORD
    assert next_step(RECORD, user, POLICY._replace(first_logon="encourage")) is Step.NEW_PASSWORD
    assert next_step(skipped, user, POLICY._replace(first_logon="encourage")) is Step.DONE
    reset = USER._replace(must_change="reset")
    assert next_step(skipped, reset, POLICY._replace(first_logon="encourage")) is Step.NEW_PASSWORD


def test_a_second_factor_is_mandatory_for_all_for_roles_or_for_one_user() -> None:
    assert next_step(RECORD, USER, POLICY._replace(two_factor="mandatory")) is Step.SET_UP
    assert next_step(RECORD, USER, POLICY._replace(two_factor_roles=frozenset({"ops"}))) is Step.SET_UP
    assert next_step(RECORD, USER._replace(two_factor="mandatory"), POLICY) is Step.SET_UP
    off = StepPolicy(two_factor="off", two_factor_roles=frozenset({"ops"}))
    assert next_step(RECORD, USER._replace(two_factor="mandatory", second_factor=True), off) is Step.DONE


def test_a_remembered_session_counts_from_its_renewal_and_ends_for_good_at_last() -> None:
    limits = Timeouts(idle=900, absolute=28_800, remember=2 * DAY, remember_max=30 * DAY)
    remembered = RECORD._replace(remembered=True)
    assert ended(remembered, limits, NOW + 2 * DAY - 1) is None
    assert ended(remembered, limits, NOW + 2 * DAY) is EndReason.IDLE
    renewed = remembered._replace(renewed_at=NOW + 29 * DAY)
    assert ended(renewed, limits, NOW + 30 * DAY - 1) is None
    assert ended(renewed, limits, NOW + 30 * DAY) is EndReason.ABSOLUTE
    assert ended(remembered, limits, NOW + 600, complete=False) is EndReason.UNFINISHED


def test_a_renewal_judges_expiry_again() -> None:
    user = USER._replace(password_changed_at=NOW - 89 * DAY)
    assert next_step(RECORD, user, POLICY) is Step.DONE
    assert next_step(RECORD._replace(renewed_at=NOW + DAY), user, POLICY) is Step.NEW_PASSWORD


def test_a_second_factor_at_the_provider_counts_where_it_was_said_to() -> None:
    policy = POLICY._replace(two_factor="mandatory")
    federated = RECORD._replace(methods="fed idp:microsoft")
    assert next_step(federated, USER, policy) is Step.SET_UP, (
        "the provider's word counts only when configured"
    )
    assert next_step(federated, USER._replace(second_factor=True), policy) is Step.SECOND_FACTOR
    proved = federated._replace(methods="fed idp:microsoft mfa", second_factor_at=NOW)
    assert next_step(proved, USER, policy) is Step.DONE
    assert next_step(proved, USER._replace(second_factor=True), policy) is Step.DONE
    own = federated._replace(methods="fed idp:microsoft otp", second_factor_at=NOW)
    assert next_step(own, USER, policy) is Step.SET_UP, "who took the own one away must set up another"
