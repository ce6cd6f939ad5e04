"""The arithmetic of RFC 6238, and what people make of six digits."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gatekeeper.core.secretbox import SecretBox
from gatekeeper.factors.totp import Totp, clean, groups, matching_steps, uri

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()

# RFC 6238 appendix B, SHA-1: its eight digits end in our six.
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.mark.parametrize(("at", "digits"), VECTORS)
def test_the_codes_of_rfc_6238(at: int, digits: str) -> None:
    assert matching_steps(RFC_SECRET, digits[-6:], at) == [at // 30]


@pytest.mark.parametrize(("at", "digits"), VECTORS[1:])
def test_one_step_of_drift_either_way_and_no_more(at: int, digits: str) -> None:
    begin = at // 30 * 30
    code = digits[-6:]
    for now, accepted in [
        (begin - 31, False),
        (begin - 30, True),
        (begin, True),
        (begin + 59.999, True),
        (begin + 60, False),
    ]:
        assert (at // 30 in matching_steps(RFC_SECRET, code, now)) is accepted, now - begin


def test_the_first_seconds_of_1970_have_no_step_before() -> None:
    assert matching_steps(RFC_SECRET, "755224", 0.0) == [0]  # RFC 4226 appendix D, count 0


@pytest.mark.parametrize(
    "typed", ["287082", "287 082", " 287082\n", "287-082", "２８７０８２", "287\u00a0082"]
)
def test_spaces_and_other_peoples_digits_are_fine(typed: str) -> None:
    assert clean(typed) == "287082"
    assert matching_steps(RFC_SECRET, typed, 59) == [1]


@pytest.mark.parametrize(
    "typed", ["", "28708", "2870820", "28708a", "-87082", "0x1234", "²87082x", "\ud800" * 6, "2" * 100_000]
)
def test_what_is_no_code_is_claimed_by_nobody_and_matches_nothing(typed: str) -> None:
    assert not Totp(SecretBox(["x" * 32], "totp")).claims(typed)
    assert matching_steps(RFC_SECRET, typed, 59) == []


def test_the_address_for_the_app_has_what_apps_need() -> None:
    parts = urlsplit(uri(RFC_SECRET, account="pat@example.com", issuer="Back office"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == "/Back office:pat@example.com"
    # Algorithm, digits and period are the defaults, which some apps insist on anyway.
    assert parse_qs(parts.query) == {"secret": [RFC_SECRET], "issuer": ["Back office"]}


def test_a_colon_cannot_move_the_border_between_issuer_and_account() -> None:
    parts = urlsplit(uri(RFC_SECRET, account="pat: the second", issuer="Shop: Berlin"))
    assert unquote(parts.path) == "/Shop Berlin:pat the second"
    assert parse_qs(parts.query)["issuer"] == ["Shop Berlin"]


def test_the_secret_is_shown_in_groups_of_four() -> None:
    assert groups(RFC_SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
