"""How long a certificate that was verified will still be."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.doctor.protocol import Finding, fail, ok, warn

SOON = 14 * 86_400.0
URGENT = 2 * 86_400.0


def judge_certificate(ends: float | None, now: float, *, whose: str) -> Iterator[Finding]:
    """Nothing without a certificate. `whose` is in the genitive: "the application's"."""
    if ends is None:
        return
    left = ends - now
    text = f"{whose} certificate is valid for another {max(left, 0) / 86_400:.0f} days"
    if left < URGENT:
        yield fail(text, "renew it now: nobody gets through once it is over")
    elif left < SOON:
        yield warn(text, "renew it: whatever should do that by itself does not")
    else:
        yield ok(text)
