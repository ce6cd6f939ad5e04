"""When a signing key begins to sign, and until when verifiers can still fetch it. Pure.

A key is published `LEAD` before it signs, so that every verifier's copy of the key set has it by then, and
stays published `KEEP` after its last signature, so that none is found missing (RFC 7517; NIST SP 800-57).
All times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

DAY = 86_400.0
LEAD = DAY
"""Seconds between publication and first signature."""
KEEP = DAY
"""Seconds between the last signature and withdrawal: an assertion's life and any verifier's copy are over."""


class StoredKey(NamedTuple):
    """One row of `signing_keys`."""

    number: int
    """1, 2, 3 …: of two processes that make the next key at once, one is refused by the database."""
    kid: str
    sealed: bytes
    """The private key (PKCS #8, DER), encrypted."""
    public: str
    """The public key as a JWK, JSON."""
    created_at: float
    signs_from: float
    retires_at: float | None
    """When it is withdrawn; None until a successor is known."""


def published(keys: Sequence[StoredKey], now: float) -> list[StoredKey]:
    """What verifiers may use."""
    return [key for key in keys if key.retires_at is None or now < key.retires_at]


def signing(keys: Sequence[StoredKey], usable: Collection[str], now: float) -> StoredKey | None:
    """The key that signs at `now`: of those whose time has come the latest; `usable` are those one can open.

    When none's time has come (another machine's clock is ahead), the one that comes first.
    """
    ready = [key for key in published(keys, now) if key.kid in usable]
    due = [key for key in ready if key.signs_from <= now]
    if due:
        return max(due, key=lambda key: (key.signs_from, key.number))
    return min(ready, key=lambda key: (key.signs_from, key.number), default=None)


def next_begins(
    keys: Sequence[StoredKey], usable: Collection[str], rotate: float | None, now: float
) -> float | None:
    """When a key that is made now should begin to sign; None while none need be made.

    `rotate` is how long a key signs, in seconds; None for ever.
    """
    ready = [key for key in published(keys, now) if key.kid in usable]
    if not ready:
        return now  # nobody could sign until then
    if rotate is None:
        return None
    ends = max(key.signs_from for key in ready) + rotate
    return max(ends, now + LEAD) if now >= ends - LEAD else None
