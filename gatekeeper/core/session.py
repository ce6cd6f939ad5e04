"""What a session is, and when it is over.

A session holds facts (which factor was proved when); whether that is enough is computed.
All times are seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

HeaderList = tuple[tuple[bytes, bytes], ...]


class EndReason(StrEnum):
    """Why a session is over. The values are stored, logged and shown; they never change."""

    UNKNOWN = "unknown"
    """Never existed, or its row was purged: nothing may be said about it."""
    IDLE = "idle"
    ABSOLUTE = "absolute"
    SIGNED_OUT = "signed_out"
    REVOKED = "revoked"
    """Ended by someone else: administrator, password change, disabled account, "sign out everywhere"."""
    REPLACED = "replaced"
    """Its id changed at a step up, and the 10 s of grace are over."""


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


class UserRecord(NamedTuple):
    """One account as the decisions need it (the password hash stays in accounts)."""

    id: int
    login: str
    name: str
    email: str
    roles: tuple[str, ...]
    disabled: bool
    session_epoch: int


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
        return EndReason.ABSOLUTE
    if now >= record.created_at + timeouts.absolute:
        return EndReason.ABSOLUTE
    if now >= record.last_seen_at + timeouts.idle:
        return EndReason.IDLE
    return None
