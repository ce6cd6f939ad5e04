"""What can go wrong with accounts, as codes that pages and commands put into words."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.core.errors import GatekeeperError


class InvalidCredentials(GatekeeperError):
    """Sign-in refused. Says nothing about why: unknown, wrong, disabled and password-less are one answer.

    ASVS 5.0 V6.3.8. The audit row knows the reason.
    """

    reason = "invalid_credentials"


class InvalidCode(GatekeeperError):
    """A second factor was refused. Says nothing about why: wrong, used before and locked are one answer."""

    reason = "invalid_code"


class AccountError(GatekeeperError):
    """A change to accounts was refused; nothing was changed.

    `reason` is one of:

    - `unknown_user`: no account with this login or id;
    - `login_taken`: another account has this login in some spelling;
    - `bad_login`, `bad_name`, `bad_email`, `bad_role`: the field cannot be stored as given;
    - `bad_password`: see `problems` (reasons of `accounts.passwords`) and `least`;
    - `link_closed`: the link was used, has expired, was replaced or never existed, or its account is closed;
    - `changed_meanwhile`: another change of the same password came first;
    - `disabled`, `has_signed_in`: no invitation is sent to such an account;
    - `no_passwords`: nobody signs in with a password, so that none can be invited to choose one;
    - `second_factor_exists`, `no_second_factor`: one is set up already, or none is;
    - `no_mail`, `no_address`: nothing can be mailed, as a whole or to this account.
    """

    reason = "account_error"

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        problems: Sequence[str] = (),
        reasons: Sequence[str] = (),
        least: int = 0,
    ) -> None:
        super().__init__(detail, reason=reason)
        self.problems = tuple(problems)
        """Codes of the broken password rules."""
        self.reasons = tuple(reasons)
        """The same in English sentences."""
        self.least = least
        """The fewest characters that this account's password may have."""
