"""The session cookie's value: a random id and its signature. ASVS 5.0 V7.2.

The signature keeps guesses away from the store; what opens the session is the id's 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from itsdangerous import Signer

ID_BYTES = 32

_SHAPE = re.compile(rb"([A-Za-z0-9_-]{43})\.[A-Za-z0-9_-]{43}")


def session_key(session_id: bytes) -> bytes:
    """What the store knows of an id: SHA-256, so that a copy of the store opens nothing."""
    return hashlib.sha256(session_id).digest()


class CookieSigner:
    """Signs with the first secret, verifies with all of them, so that secrets can be exchanged."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        self._signers = [
            Signer(secret, salt="gatekeeper.session", key_derivation="hmac", digest_method=hashlib.sha256)
            for secret in secrets
        ]

    def sign(self, session_id: bytes) -> str:
        """The cookie's value for an id of 32 bytes."""
        return self._signers[0].sign(urlsafe_b64encode(session_id).rstrip(b"=")).decode("ascii")

    def read(self, cookie: bytes) -> bytes | None:
        """The id in a cookie's value, or None unless the value is exactly one that a signer here made.

        Values are compared whole: base64 has several spellings of the same bytes, and each accepted one
        would be a cache entry of its own.
        """
        shape = _SHAPE.fullmatch(cookie)
        if shape is None:
            return None
        payload = shape[1]
        for signer in self._signers:
            if hmac.compare_digest(signer.sign(payload), cookie):
                return urlsafe_b64decode(payload + b"=")
        return None
