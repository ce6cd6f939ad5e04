"""What providers call their errors → what we call them. Pure, and the only place that reads their texts.

https://learn.microsoft.com/entra/identity-platform/reference-error-codes, RFC 6749 sections 4.1.2.1 and 5.2,
OpenID Connect Core 3.1.2.6.
"""

from __future__ import annotations

import re

_AADSTS = re.compile(r"(?<![A-Za-z0-9])AADSTS([0-9]{4,9})(?![0-9])")
_READ_AT_MOST = 4_096
"""Characters; the number is at the beginning."""

_BY_NUMBER = {
    "consent": (65001, 90094, 90095),
    "cancelled": (65004,),
    "no_access": (50020, 50105, 50177, 51004, 90072, 500208),
    "blocked": (50034, 50053, 50057),
    "password_expired": (50055, 50133, 50144),
    "mfa_required": (50072, 50074, 50076, 50079, 50158),
    "mfa_failed": (50078, 50088, 500121),
    "conditional_access": (50005, 50097, 50131, 53000, 53001, 53002, 53003, 53004, 53009, 53011, 530032),
    "flow_expired": (50089, 54005, 70000, 70008, 70043, 700082),
    "secret_invalid": (700021, 700024, 700027, 700030, 7000215, 7000218, 7000222),
    "single_page": (9002325, 9002326, 9002327),
    "application_unknown": (50194, 90002, 700016, 700038, 7000112, 7000114),
    "redirect_mismatch": (50011, 500113, 900971),
    "wrong_credentials": (50056, 50126),
    "state_mismatch": (50148, 501481),  # the code belongs to another verifier
    "asks_again": (16000, 50058, 50140, 50173, 50196),
    "provider_busy": (50000, 90006, 90033, 90055),
    "misconfigured": (50059, 50128, 50146, 50147, 500011, 650052, 650056, 9002313),
}
_NUMBERS = {str(number): code for code, numbers in _BY_NUMBER.items() for number in numbers}

_BY_ERROR = {
    "access_denied": "cancelled",
    "consent_required": "consent",
    "interaction_required": "asks_again",
    "login_required": "asks_again",
    "account_selection_required": "asks_again",
    "invalid_grant": "flow_expired",
    "invalid_client": "secret_invalid",
    "unauthorized_client": "misconfigured",
    "invalid_request": "misconfigured",
    "invalid_scope": "misconfigured",
    "unsupported_response_type": "misconfigured",
    "temporarily_unavailable": "provider_busy",
    "server_error": "provider_busy",
}


def failure_of(error: str, description: str) -> tuple[str, str]:
    """(key of `messages.MESSAGES`, vendor code such as "AADSTS65001" or "") of a provider's error.

    Both arguments may have been written by an attacker: nothing of them is in the result but digits.
    """
    number = _AADSTS.search(description[:_READ_AT_MOST])
    vendor_code = f"AADSTS{number[1]}" if number else ""
    if number and number[1] in _NUMBERS:
        return _NUMBERS[number[1]], vendor_code
    return _BY_ERROR.get(error, "provider_error"), vendor_code


def known_numbers() -> dict[str, str]:
    """Every number of Entra ID that has a meaning here: its digits → our code."""
    return dict(_NUMBERS)
