"""What comes next in this sign-in: computed from facts, stored nowhere."""

from __future__ import annotations

from gatekeeper.core.session import SessionRecord, UserRecord


def next_step(record: SessionRecord, user: UserRecord) -> str:
    """The step still to do before `user` may pass, "" when sign-in is complete. Pure.

    A session in which nothing was proved, or whose user is disabled, gets nowhere but to the password.
    """
    if user.disabled or record.first_factor_at <= 0.0:
        return "password"
    return ""
