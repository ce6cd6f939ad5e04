"""Rules for a new password, each with its words. NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2.

No composition rules: a password is refused for being short, guessable or known, never for lacking a digit.
"""

from __future__ import annotations

from collections.abc import Sequence

from zxcvbn import zxcvbn

from gatekeeper.core.users import login_key

MAX_LENGTH = 1024
"""Characters. Far above any passphrase; keeps normalising and hashing cheap."""
_JUDGED = 72
"""zxcvbn raises above this many characters; its time grows with the square."""
_GUESSABLE = 3
"""zxcvbn scores below this fall to fewer than 10^8 guesses."""
_SHORTEST_LOGIN = 3
"""A login of one or two characters may occur in a password by chance."""

TOO_SHORT = "too_short"
TOO_LONG = "too_long"
CONTAINS_LOGIN = "contains_login"
COMMON = "common"


def problems(password: str, *, login: str, min_length: int, known: Sequence[str] = ()) -> list[str]:
    """Every reason why `password` may not become the password of `login`; empty when it may.

    `known` are further words that an attacker would try first (name, e-mail address). Lengths count
    characters. Up to 50 ms of CPU: run it through `PasswordHasher.run` where others wait.
    """
    if len(password) > MAX_LENGTH:
        return [TOO_LONG]
    found = []
    if len(password) < min_length:
        found.append(TOO_SHORT)
    key = login_key(login)
    if len(key) >= _SHORTEST_LOGIN and key in login_key(password):
        found.append(CONTAINS_LOGIN)
    if _common(password, [login, *known]):
        found.append(COMMON)
    return found


def words(problem: str, *, min_length: int) -> str:
    """The rule that `problem` broke, as one sentence to a person."""
    return {
        TOO_SHORT: f"Use at least {min_length} characters.",
        TOO_LONG: f"Use at most {MAX_LENGTH} characters.",
        CONTAINS_LOGIN: "Choose a password that does not contain your login.",
        COMMON: "This password is too common or too easy to guess. Four random words work well.",
    }[problem]


def rules(*, min_length: int) -> list[str]:
    """All rules in words, to be read before choosing."""
    return [
        f"At least {min_length} characters. Any characters, including spaces, are allowed.",
        "Not a common password, and not one that is easy to guess.",
        "Without your login in it.",
    ]


def _common(password: str, known: Sequence[str]) -> bool:
    """Whether zxcvbn's offline lists (passwords, names, words, keyboard rows, dates) give it away."""
    start = password[:_JUDGED]
    if not start:
        return False  # too short, and said so
    judged: dict[str, int] = zxcvbn(start, user_inputs=[word for word in known if word])
    return judged["score"] < _GUESSABLE
