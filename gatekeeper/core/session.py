"""What a session is, and when it is over.

A session holds facts (which factor was proved when); whether that is enough is computed.
All times are seconds since the epoch.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

HeaderList = tuple[tuple[bytes, bytes], ...]


class EndReason(StrEnum):
    """Why a session is over. The values are stored, logged and shown; they never change."""

    UNKNOWN = "unknown"
    """Never existed, or its row was purged: nothing may be said about it."""
    IDLE = "idle"
    ABSOLUTE = "absolute"
    UNFINISHED = "unfinished"
    """A sign-in that was begun and not finished in time."""
    SIGNED_OUT = "signed_out"
    REVOKED = "revoked"
    """Ended by someone else: administrator, password change, disabled account, "sign out everywhere"."""
    REPLACED = "replaced"
    """Its id changed at a step up, and the 10 s of grace are over."""
    CLOSED = "closed"
    """The last tab with the application was closed, or none was heard of for long."""


class Ended(NamedTuple):
    """How a session ended that is over."""

    user_id: int
    reason: EndReason
    at: float


class SessionRecord(NamedTuple):
    """One session as the store keeps it: facts only. `key` is SHA-256 of the id, never the id itself."""

    key: bytes
    user_id: int
    epoch: int
    """The user's `session_epoch` when the session began; a lower one than the user's is revoked."""
    created_at: float
    last_seen_at: float
    remembered: bool
    methods: str
    """What was proved, RFC 8176 names separated by spaces: "pwd", "pwd otp", "fed"."""
    first_factor_at: float
    second_factor_at: float
    """0.0 when not proved."""
    client: str
    """Address of the client at sign-in, for the list of sessions."""
    user_agent: str
    grace_until: float = 0.0
    """Set when the id was replaced: requests under way are answered until then at the old level."""
    renewed_at: float = 0.0
    """When a remembered session was last renewed; 0.0 before the first time."""
    skipped: str = ""
    """Steps that the person chose to skip in this session, separated by spaces."""
    tab_seen_at: float = 0.0
    """When an open tab with the session script was last heard of; 0.0 where the script never ran."""
    tab_closed_at: float = 0.0
    """When a tab that knew of no other was last closed; nothing, when a tab was heard of since."""

    @property
    def public_id(self) -> str:
        """What lists show: enough of the key to tell sessions apart, useless for anything else."""
        return self.key.hex()[:12]


class UserRecord(NamedTuple):
    """One account as the decisions need it (the password hash stays in accounts)."""

    id: int
    login: str
    name: str
    email: str
    roles: tuple[str, ...]
    disabled: bool
    session_epoch: int
    password_changed_at: float = 0.0
    """Also the creation of an account that has no password yet."""
    last_sign_in_at: float = 0.0
    """The last complete one; 0.0 for none."""
    must_change: str = ""
    """"first_logon" or "reset" when an administrator chose the password (see `core.steps.Why`)."""
    two_factor: str = ""
    """"mandatory" for this one account, "" for what the configuration says."""
    second_factor: bool = False
    """Whether one is set up."""
    welcomed: bool = False
    has_password: bool = True
    """False for whoever only signs in elsewhere."""


class Session(NamedTuple):
    """A live session as the gate sees it: the stored facts, the user's, and ready-made header bytes."""

    record: SessionRecord
    user: UserRecord
    step: str
    """The sign-in step still to do, "" when sign-in is complete. Computed, not stored."""
    headers: HeaderList
    """Identity headers for the application, made once when the session was read."""

    @property
    def complete(self) -> bool:
        """Whether every step of sign-in was done: the only sessions that pass a rule."""
        return self.step == ""


class Timeouts(NamedTuple):
    """How long a session lasts, in seconds."""

    idle: float = 900.0
    absolute: float = 28_800.0
    partial: float = 600.0
    """For a half-finished sign-in, from its first factor."""
    remember: float = 172_800.0
    """For a remembered session, from its last renewal. It knows neither idle nor absolute timeout. 0.0 when
    sessions are not remembered: then none begins, and those from before are over."""
    remember_max: float = 2_592_000.0
    """For a remembered session, from sign-in."""
    closing: float = 30.0
    """After the last tab was closed, for one that is not remembered: a reload or a restored window comes back
    within this time."""
    silence: float = 1_800.0
    """The same when nothing is heard of open tabs any more (the browser was killed, or the machine sleeps).
    Tabs in the background are heard of every minute, and a machine may sleep for a while."""


def warn_before(timeouts: Timeouts) -> float:
    """How many seconds before the end a person is warned: two minutes, less where sessions are short.

    But no less than the 20 seconds that WCAG 2.2.1 asks for, while that is not more than half of them.
    """
    return min(120.0, max(0.2 * timeouts.idle, min(20.0, 0.5 * timeouts.idle)))


class Cutoffs(NamedTuple):
    """What is over by time, said so that a store can look for it: not later than these times, each."""

    created: float
    seen: float
    """For sessions that are not remembered, as `created`."""
    remembered_created: float
    renewed: float
    tab_closed: float = 0.0
    tab_seen: float = 0.0


def cutoffs(timeouts: Timeouts, now: float, *, margin: float = 0.0) -> Cutoffs:
    """What `ended` says at `now`, for a store. `margin` seconds are granted to activity still under way."""
    return Cutoffs(
        created=now - timeouts.absolute,
        seen=now - timeouts.idle - margin,
        remembered_created=now - timeouts.remember_max,
        renewed=now - timeouts.remember - margin,
        tab_closed=now - timeouts.closing - margin,
        tab_seen=now - timeouts.silence - margin,
    )


def last_renewal(record: SessionRecord) -> float:
    """From when a remembered session's time counts."""
    return max(record.created_at, record.renewed_at)


def closes_at(record: SessionRecord, timeouts: Timeouts) -> float:
    """When the session is over because no tab is open any more; inf when that does not end it."""
    if record.remembered or not record.tab_seen_at:
        return math.inf
    if record.tab_closed_at > record.tab_seen_at:
        return record.tab_closed_at + timeouts.closing
    return record.tab_seen_at + timeouts.silence


def over_at(record: SessionRecord, timeouts: Timeouts, *, complete: bool = True) -> float:
    """When the session is over whatever the person does, in seconds since the epoch."""
    if record.remembered:
        lasting = min(record.created_at + timeouts.remember_max, last_renewal(record) + timeouts.remember)
    else:
        lasting = min(record.created_at + timeouts.absolute, closes_at(record, timeouts))
    if record.grace_until:
        lasting = min(lasting, record.grace_until)
    return lasting if complete else min(lasting, record.first_factor_at + timeouts.partial)


def quiet_at(record: SessionRecord, timeouts: Timeouts) -> float:
    """When it is over unless it is used before, in seconds since the epoch."""
    if record.remembered:
        return last_renewal(record) + timeouts.remember
    return min(record.last_seen_at + timeouts.idle, closes_at(record, timeouts))


def longest_until(record: SessionRecord, timeouts: Timeouts) -> float:
    """When the session is over however active the person is: nothing that it let begin goes on after that."""
    return record.created_at + (timeouts.remember_max if record.remembered else timeouts.absolute)


def ended(
    record: SessionRecord, timeouts: Timeouts, now: float, *, complete: bool = True
) -> EndReason | None:
    """Say why `record` is over at `now`, or None while it lives. ASVS 5.0 V7.3.

    A clock set back revives nothing by itself: `now` must come from `core.clock.SteadyClock`.
    The very second of the deadline belongs to the end (`>=`).
    """
    if record.grace_until and now >= record.grace_until:
        return EndReason.REPLACED
    if not complete and now >= record.first_factor_at + timeouts.partial:
        return EndReason.UNFINISHED
    if record.remembered:
        if now >= record.created_at + timeouts.remember_max:
            return EndReason.ABSOLUTE
        return EndReason.IDLE if now >= last_renewal(record) + timeouts.remember else None
    if now >= record.created_at + timeouts.absolute:
        return EndReason.ABSOLUTE
    idle_at, closed_at = record.last_seen_at + timeouts.idle, closes_at(record, timeouts)
    if now < idle_at and now < closed_at:
        return None
    return EndReason.CLOSED if closed_at <= idle_at else EndReason.IDLE
