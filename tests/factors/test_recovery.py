"""Recovery codes as people write them down."""

from __future__ import annotations

import math
import re

import pytest

from gatekeeper.factors import recovery
from gatekeeper.factors.recovery import RecoveryCodes, clean, generate


def test_a_code_holds_more_bits_than_anybody_guesses() -> None:
    assert recovery.LENGTH * math.log2(len(recovery._ALPHABET)) >= 112  # ASVS 5.0 V6.5.2
    made = {generate() for _ in range(500)}
    assert len(made) == 500
    assert all(re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){5}[0-9a-hjkmnp-tv-z]{4}", code) for code in made)


@pytest.mark.parametrize(
    "written",
    [
        "0123-4567-89ab-cdef-gh1j-km1n",
        "0123456789ABCDEFGH1JKM1N",
        " o123 4567 89ab cdef ghij kmln ",
        "O123\u20134567\u201389AB\u2013CDEF\u2013GHIJ\u2013KMLN",
    ],
)
def test_misread_letters_case_and_dashes_do_not_matter(written: str) -> None:
    assert RecoveryCodes().claims(written)
    assert clean(written) == "0123456789abcdefgh1jkm1n"


@pytest.mark.parametrize("written", ["", "123456", "0123-4567", "u" * 24, "0" * 25, "\ud800" * 24])
def test_other_things_are_not_claimed(written: str) -> None:
    assert not RecoveryCodes().claims(written)
