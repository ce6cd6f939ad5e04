"""Proof that who redeems a code is who asked for it. RFC 7636."""

from __future__ import annotations

import base64
import hashlib


def challenge(verifier: str) -> str:
    """What is sent ahead: S256 of `verifier`, base64url without padding (section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
