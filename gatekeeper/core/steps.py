"""Sign-in as a state machine: what was proved so far → what comes next. Pure.

Nothing here is stored: a session holds facts (`SessionRecord`), an account holds facts (`UserRecord`), the
configuration holds wishes (`StepPolicy`); the step follows from them, so a reload, another tab or another
process comes to the same one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gatekeeper.core.session import SessionRecord, UserRecord

FEDERATED = "fed"
"""In `SessionRecord.methods`: an identity provider proved the first factor; passwords are its affair."""
PROVIDERS_FACTOR = "mfa"
"""In `SessionRecord.methods` (RFC 8176): the identity provider proved the second factor, too, and the
configuration says that this counts."""
UNKNOWN_TIME = 1.0
"""In `SessionRecord.second_factor_at`: proved, and nobody said when; older than any rule allows."""
TRUSTED = "trusted"
"""In `SessionRecord.methods`: this browser is trusted instead of a code. No second factor was proved."""
PASSWORD_SKIPPED = "new_password"  # noqa: S105 - the name of a step
"""In `SessionRecord.skipped`: the person was asked to change a first-logon password, and said later."""


class Step(StrEnum):
    """What is still to do. The values go into addresses and logs."""

    DONE = ""
    PASSWORD = "password"  # noqa: S105
    SECOND_FACTOR = "second_factor"
    NEW_PASSWORD = "new_password"  # noqa: S105
    SET_UP = "second_factor_setup"
    WELCOME = "welcome"


class Why(StrEnum):
    """Why a new password is asked for: shown to the person."""

    NOT = ""
    FIRST_LOGON = "first_logon"
    """An administrator made the account with a first password."""
    RESET = "reset"
    """An administrator had a generated password mailed."""
    EXPIRED = "expired"
    UNUSED = "unused"
    """Nobody signed in for a long time."""


class StepPolicy(NamedTuple):
    """What the operator wants of a sign-in. Ages in seconds; None switches one off."""

    two_factor: str = "off"
    """"off", "optional" or "mandatory"."""
    two_factor_roles: frozenset[str] = frozenset()
    """Mandatory for these roles when it is optional for the others."""
    password_max_age: float | None = None
    password_unused: float | None = None
    first_logon: str = "require"
    """"require" or "encourage": whether the page that asks for a new password can be skipped."""
    welcome: bool = False


def next_step(record: SessionRecord, user: UserRecord, policy: StepPolicy) -> Step:
    """The step still to do before `user` may pass.

    Ages are judged at the time of the first factor, or of the last renewal of a remembered session, so that
    nothing changes between two requests but by what somebody did.
    """
    if user.disabled or record.first_factor_at <= 0.0:
        return Step.PASSWORD
    methods = record.methods.split()
    if (
        policy.two_factor != "off"
        and user.second_factor
        and record.second_factor_at <= 0.0
        and TRUSTED not in methods
    ):
        return Step.SECOND_FACTOR
    if FEDERATED not in methods:
        why = why_new_password(record, user, policy)
        skippable = why is Why.FIRST_LOGON and policy.first_logon == "encourage"
        if why and not (skippable and PASSWORD_SKIPPED in record.skipped.split()):
            return Step.NEW_PASSWORD
    if must_set_up(user, policy) and PROVIDERS_FACTOR not in methods:
        return Step.SET_UP
    if policy.welcome and not user.welcomed:
        return Step.WELCOME
    return Step.DONE


def why_new_password(record: SessionRecord, user: UserRecord, policy: StepPolicy) -> Why:
    """Why the password must change before this session goes on; NOT when it need not."""
    if user.must_change:
        return Why(user.must_change)
    asked_at = max(record.first_factor_at, record.renewed_at)
    if policy.password_max_age is not None and asked_at >= user.password_changed_at + policy.password_max_age:
        return Why.EXPIRED
    last_use = max(user.last_sign_in_at, user.password_changed_at)
    if policy.password_unused is not None and record.first_factor_at >= last_use + policy.password_unused:
        return Why.UNUSED
    return Why.NOT


def must_set_up(user: UserRecord, policy: StepPolicy) -> bool:
    """Whether this account has no second factor and may not do without."""
    if user.second_factor or policy.two_factor == "off":
        return False
    return (
        policy.two_factor == "mandatory"
        or user.two_factor == "mandatory"
        or not policy.two_factor_roles.isdisjoint(user.roles)
    )
