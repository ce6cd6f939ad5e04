"""That the password was just given in this session, as a field that goes with the pages after it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from itsdangerous import BadSignature, Signer

from gatekeeper.core.clock import Clock

LIFETIME = 600.0
"""Seconds for which the password is not asked for again: as long as a sign-in may take."""


class PasswordProof:
    """Signs and reads; holds no state."""

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        newest_last = list(reversed(secrets))  # itsdangerous signs with the last key and verifies with all
        self._signer = Signer(newest_last, salt="gatekeeper.password-proof")
        self._clock = clock

    def give(self, session: bytes) -> str:
        """The field's value for the session with this key."""
        return self._signer.sign(f"{session.hex()}-{int(self._clock())}").decode("ascii")

    def holds(self, field: str, session: bytes) -> bool:
        """Whether `field` was given to this session, and lately."""
        try:
            key, at = self._signer.unsign(field.encode("utf-8")).decode("ascii").split("-")
            age = self._clock() - int(at)
        except (BadSignature, ValueError):
            return False
        return hmac.compare_digest(key, session.hex()) and age < LIFETIME

    def recent(self, at: float) -> bool:
        """Whether what was proved at `at` (seconds since the epoch) still counts as just now."""
        return self._clock() - at < LIFETIME
