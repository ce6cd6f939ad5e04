"""Secrets at rest: encrypted under the installation's `secret`, one derived key for each purpose."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gatekeeper.core.errors import GatekeeperError


class SealBroken(GatekeeperError):
    """What was stored cannot be opened: the `secret` is another one, or the data was changed."""

    reason = "seal_broken"


class SecretBox:
    """Authenticated encryption (Fernet: AES-128-CBC and HMAC-SHA-256) for one purpose.

    `secrets` as in the configuration: the first seals, all open. What was sealed for one purpose cannot be
    opened for another, because the keys differ (HKDF, RFC 5869; ASVS 5.0 V11.2).
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._fernet = MultiFernet([Fernet(_key(secret, purpose)) for secret in secrets])
        self._deriving = _key(secrets[0], purpose + " derived")

    def seal(self, data: bytes) -> bytes:
        return self._fernet.encrypt(data)

    def open(self, sealed: bytes) -> bytes:
        """Raises SealBroken."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise SealBroken("stored data cannot be decrypted: was `secret` replaced?") from None

    def derive(self, context: bytes) -> bytes:
        """32 bytes that are the same for the same `context`, and that nobody without the secret can tell.

        Under the first secret, so they are others once it was replaced: for what lives for minutes.
        """
        return hmac.digest(self._deriving, context, "sha256")

    def reseal(self, sealed: bytes) -> bytes:
        """The same under the first secret. Raises SealBroken."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken:
            raise SealBroken("stored data cannot be decrypted: was `secret` replaced?") from None


def _key(secret: str, purpose: str) -> bytes:
    info = b"gatekeeper " + purpose.encode("utf-8")
    derived = HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode("utf-8"))
    return base64.urlsafe_b64encode(derived)
