"""What comes next in a sign-in, under one operator's policy: computed from facts, stored nowhere."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.core import steps
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.core.steps import StepPolicy


def make_next_step(policy: StepPolicy) -> Callable[[SessionRecord, UserRecord], str]:
    """The function that the sessions ask for the step still to do, "" when sign-in is complete. Pure."""

    def next_step(record: SessionRecord, user: UserRecord) -> str:
        # A plain string: it goes into the cache, whose entries hold nothing that the collector follows.
        return steps.next_step(record, user, policy).value

    return next_step
