"""What `gatekeeper doctor` asks the running Gatekeeper through the way that browsers come.

Question and answer are sealed under the installation's secret: nobody else can ask, and nobody on the way
learns from the answer what Gatekeeper sees.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from gatekeeper.core.secretbox import SealBroken, SecretBox

PURPOSE = "doctor"
PATH = "/doctor"
"""Under the prefix."""
LIFETIME = 60.0
"""Seconds for which a question is answered."""
LONGEST = 512


class Seen(NamedTuple):
    """How the question arrived."""

    nonce: str
    host: str
    """The host it was for, as it was judged; "" when that is none of ours."""
    peer: str
    """Who connected; "" through a unix socket."""
    client: str
    """Who is believed to have asked."""
    trusted: bool
    """Whether `peer` is one of trusted_proxies."""
    forwarded: bool
    """Whether there was an X-Forwarded-For."""
    now: float
    """The other clock."""
    version: str


def question(box: SecretBox, nonce: str, now: float) -> str:
    """The query string's value."""
    return box.seal(json.dumps([nonce, now]).encode("ascii")).decode("ascii")


def read_question(box: SecretBox, sealed: bytes, now: float) -> str | None:
    """The nonce in a question that was asked lately with our secret."""
    if len(sealed) > LONGEST:
        return None
    try:
        nonce, at = json.loads(box.open(sealed))
    except SealBroken:
        return None
    return str(nonce) if abs(now - at) <= LIFETIME else None


def answer(box: SecretBox, seen: Seen) -> bytes:
    return box.seal(json.dumps(seen).encode("ascii"))


def read_answer(box: SecretBox, sealed: bytes, nonce: str) -> Seen | None:
    """What was seen, when it answers our own question."""
    try:
        seen = Seen(*json.loads(box.open(sealed)))
    except (SealBroken, TypeError):
        return None
    return seen if seen.nonce == nonce else None
