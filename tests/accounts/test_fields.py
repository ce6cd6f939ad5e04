"""Nothing that could break out of a header, a mail or a log line is stored."""

from __future__ import annotations

import pytest

from gatekeeper.accounts import fields
from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.users import login_key

BREAKERS = ["a\r\nSet-Cookie: x=1", "a\x00b", "a\u202eb", "a\u2028b", "a\ud800b"]


@pytest.mark.parametrize("bad", ["", "   ", "x" * 255, *BREAKERS])
def test_a_login_is_printable_and_short(bad: str) -> None:
    with pytest.raises(AccountError) as refused:
        fields.clean_login(bad)
    assert refused.value.reason == "bad_login"
    assert fields.lookup_key(bad) is None


def test_a_login_keeps_its_spelling_and_is_found_under_any() -> None:
    assert fields.clean_login("  Päivi Example ") == "Päivi Example"
    assert fields.lookup_key("PA\u0308IVI EXAMPLE") == login_key("päivi example")


@pytest.mark.parametrize("bad", BREAKERS)
def test_names_are_one_printable_line(bad: str) -> None:
    with pytest.raises(AccountError, match="printable"):
        fields.clean_name(bad)
    assert fields.clean_name(" ") == ""


@pytest.mark.parametrize(
    "bad", ["pat", "pat@", "@example.com", "a@b@c", "a b@example.com", "a@x,b@y", "a@b\r\nBcc: c@d"]
)
def test_an_address_is_one_address(bad: str) -> None:
    with pytest.raises(AccountError) as refused:
        fields.clean_email(bad)
    assert refused.value.reason == "bad_email"


def test_good_addresses_and_none_are_taken() -> None:
    assert fields.clean_email(" pat+x@example.com ") == "pat+x@example.com"
    assert fields.clean_email("") == ""


@pytest.mark.parametrize("bad", ["", "a,b", "a b", "-a", "rolé", "a\nb", "x" * 65])
def test_a_role_can_be_told_to_the_application_in_a_list(bad: str) -> None:
    with pytest.raises(AccountError) as refused:
        fields.clean_roles(["fine", bad])
    assert refused.value.reason == "bad_role"


def test_roles_are_sorted_and_each_is_there_once() -> None:
    assert fields.clean_roles(["ops", "audit", " ops "]) == ("audit", "ops")
