"""What comes back with the browser was written by anybody: it is read strictly, and never repeated."""

from __future__ import annotations

import pytest

from gatekeeper.providers.callback import Callback, parse_callback
from gatekeeper.providers.codes import failure_of, known_numbers
from gatekeeper.providers.messages import MESSAGES, STAY_AT_MICROSOFT, message_of
from gatekeeper.providers.protocol import ProviderError

MARKUP = "%3Cscript%3Ealert(1)%3C/script%3E"

BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "state_missing"),
    "no state": (b"code=c", "state_missing"),
    "empty state": (b"code=c&state=", "state_missing"),
    "state twice": (b"code=c&state=s&state=s", "callback_invalid"),
    "state twice, differently": (b"code=c&state=s&state=t", "callback_invalid"),
    "state twice, one in disguise": (b"code=c&state=s&st%61te=s", "callback_invalid"),
    "code twice": (b"code=c&code=d&state=s", "callback_invalid"),
    "error twice": (b"error=e&error=access_denied&state=s", "callback_invalid"),
    "description twice": (
        b"error=e&error_description=a&error_description=b&state=s",
        "callback_invalid",
    ),
    "issuer twice": (b"code=c&state=s&iss=a&iss=b", "callback_invalid"),
    "code and error": (b"code=c&error=access_denied&state=s", "callback_invalid"),
    "neither code nor error": (b"state=s", "callback_invalid"),
    "empty code": (b"code=&state=s", "callback_invalid"),
    "line break in the code": (b"code=a%0d%0ab&state=s", "callback_invalid"),
    "NUL in the code": (b"code=a%00b&state=s", "callback_invalid"),
    "space in the code": (b"code=a+b&state=s", "callback_invalid"),
    "markup as state": (f"code=c&state={MARKUP}".encode(), "callback_invalid"),
    "line break in the state": (b"code=c&state=a%0d%0aSet-Cookie:b", "callback_invalid"),
    "not UTF-8": (b"code=%ff%fe&state=s", "callback_invalid"),
    "overlong UTF-8": (b"code=c&state=%c0%af", "callback_invalid"),
    "endless state": (b"code=c&state=" + b"s" * 600, "callback_invalid"),
    "endless code": (b"code=" + b"c" * 9_000 + b"&state=s", "callback_invalid"),
    "endless query": (b"code=c&state=s&x=" + b"x" * 20_000, "callback_invalid"),
    "very many parameters": (b"code=c&state=s" + b"&x=1" * 100, "callback_invalid"),
}
"""Name → (the query of a callback, the code it is refused with)."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_callback_is_refused(name: str) -> None:
    query, code = BROKEN[name]
    with pytest.raises(ProviderError) as refused:
        parse_callback(query)
    assert refused.value.code == code
    assert "<" not in str(refused.value)


def test_a_code_comes_back_with_its_state() -> None:
    found = parse_callback(b"code=0.AXo-_.~%21&state=abc-123&session_state=x&iss=https:%2f%2fidp.example.com")
    assert found == Callback("abc-123", code="0.AXo-_.~!", issuer="https://idp.example.com")
    found.raise_failure()


def test_an_error_leaves_nothing_behind_but_codes_of_ours() -> None:
    text = f"AADSTS65004%3a+{MARKUP}%0d%0aTrace+ID:+1"
    found = parse_callback(f"error={MARKUP}&error_description={text}&state=s".encode())
    assert found == Callback("s", failure="cancelled", vendor_code="AADSTS65004")
    with pytest.raises(ProviderError) as raised:
        found.raise_failure()
    assert (raised.value.code, raised.value.vendor_code, str(raised.value)) == (
        "cancelled",
        "AADSTS65004",
        "cancelled",
    )


@pytest.mark.parametrize(
    ("error", "description", "expected"),
    [
        ("invalid_grant", "AADSTS54005: redeemed", ("flow_expired", "AADSTS54005")),
        ("access_denied", "AADSTS50105: not assigned", ("no_access", "AADSTS50105")),
        ("access_denied", "", ("cancelled", "")),
        ("interaction_required", "AADSTS999999: new", ("asks_again", "AADSTS999999")),
        ("<b>", "AADSTS1234567890: too long a number", ("provider_error", "")),
        ("", "xAADSTS65001: no word of its own", ("provider_error", "")),
        ("", "x" * 5_000 + " AADSTS65001", ("provider_error", "")),
        ("invalid_client", "AADSTS7000222: expired", ("secret_invalid", "AADSTS7000222")),
        ("invalid_request", "AADSTS9002327: single page", ("single_page", "AADSTS9002327")),
    ],
)
def test_errors_are_known_by_number_then_by_name(
    error: str, description: str, expected: tuple[str, str]
) -> None:
    assert failure_of(error, description) == expected


def test_every_error_has_words_for_the_person_and_for_the_operator() -> None:
    for code in {*known_numbers().values(), *STAY_AT_MICROSOFT, "provider_error"}:
        assert code in MESSAGES, code
    for code, message in MESSAGES.items():
        assert message.title, code
        assert message.text, code
        assert message.operator, code
        assert message.status in (400, 403, 503), code
        message.text.format(provider="Microsoft")
        message.operator.format(client_id="c", redirect_uri="r", public_url="p", provider="Microsoft")
    assert MESSAGES["aad_user_not_found"].title == "AAD User not found"
    assert message_of("nobody knows this") == MESSAGES["provider_error"]
