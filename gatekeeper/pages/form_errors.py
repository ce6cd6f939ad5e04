"""What is wrong with a form, in words, by the field where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.accounts import passwords
from gatekeeper.accounts.errors import AccountError
from gatekeeper.pages.i18n import N_, Locale

Errors = Mapping[str, Sequence[str]]
"""Messages by field; the names of the fields are also their ids."""

_PASSWORD = {
    passwords.TOO_SHORT: N_("Choose a longer password: at least %(least)d characters."),
    passwords.TOO_LONG: N_("Choose a shorter password: at most %(most)d characters."),
    passwords.CONTAINS_LOGIN: N_("Choose a password that does not contain your login."),
    passwords.COMMON: N_("This password is too easy to guess. Four random words work well."),
    passwords.CURRENT: N_("This is your present password. Choose another one."),
    passwords.REUSED: N_("You have used this password before. Choose one that you have not used lately."),
}
MISSING = N_("Enter a password.")
DIFFERENT = N_("The two passwords are not the same.")
WRONG_PASSWORD = N_("This is not your present password.")
WRONG_CODE = N_("This code is wrong, has expired, or was used already. Enter the newest one.")


class PasswordWords:
    """Rules for a new password, and which of them was broken."""

    def __init__(self, locale: Locale, *, least: int, history: int) -> None:
        self._text = locale.text
        self._least = least
        self._history = history

    def rules(self, least: int) -> list[str]:
        """To be read before choosing a password of at least `least` characters."""
        rules = [
            self._text(N_("At least %(least)d characters, spaces included.")) % {"least": least},
            self._text(N_("Not easy to guess: four random words work well.")),
            self._text(N_("Without your login in it.")),
        ]
        if self._history > 1:
            last = self._text(N_("None of your last %(history)d passwords."))
            rules.append(last % {"history": self._history})
        return rules

    def first_look(self, new: str, confirm: str) -> Errors:
        """What needs no service to be seen."""
        if not new:
            return {"new_password": [self._text(MISSING)]}
        if new != confirm:
            return {"confirm_password": [self._text(DIFFERENT)]}
        return {}

    def problems(self, error: AccountError) -> list[str]:
        """The rules that were broken, for an error with the reason "bad_password".

        A short password is hardly ever hard to guess: that it is short says what to do.
        """
        numbers = {"least": error.least or self._least, "most": passwords.MAX_LENGTH}
        broken = list(error.problems)
        if passwords.TOO_SHORT in broken and passwords.COMMON in broken:
            broken.remove(passwords.COMMON)
        return [self._text(_PASSWORD[problem]) % numbers for problem in broken]
