"""Secrets at rest open only under the same secret and for the same purpose."""

from __future__ import annotations

import pytest

from gatekeeper.core.secretbox import SealBroken, SecretBox

OLD, NEW = "o" * 40, "n" * 40


def test_what_was_sealed_opens_again_and_does_not_show() -> None:
    sealed = SecretBox([OLD], "totp").seal(b"JBSWY3DP")
    assert b"JBSWY3DP" not in sealed
    assert SecretBox([OLD], "totp").open(sealed) == b"JBSWY3DP"


def test_another_purpose_another_secret_or_a_changed_byte_opens_nothing() -> None:
    sealed = SecretBox([OLD], "totp").seal(b"x")
    changed = sealed[:-4] + b"AAAA"
    for box, data in [
        (SecretBox([OLD], "outbox"), sealed),
        (SecretBox([NEW], "totp"), sealed),
        (SecretBox([OLD], "totp"), changed),
    ]:
        with pytest.raises(SealBroken):
            box.open(data)


def test_rotation_seals_under_the_first_secret() -> None:
    sealed = SecretBox([OLD], "totp").seal(b"x")
    again = SecretBox([NEW, OLD], "totp").reseal(sealed)
    assert SecretBox([NEW], "totp").open(again) == b"x"
