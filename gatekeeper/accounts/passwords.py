"""Rules for a new password, each with its words. NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2.

No composition rules: a password is refused for being short, guessable or known, never for lacking a digit.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from zxcvbn import matching, zxcvbn

from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import StepPolicy, must_set_up
from gatekeeper.core.users import login_key

MAX_LENGTH = 1024
"""Characters. Far above any passphrase; keeps normalising and hashing cheap."""
_JUDGED = 72
"""zxcvbn raises above this many characters; its time grows with the square."""
_READINGS = 20
"""Ways to read the symbols as letters (`4` and `@` as `a`) up to which all of `_JUDGED` is judged. zxcvbn
looks up every part of the text once for each way, and a text full of symbols has hundreds."""
_JUDGED_OF_MANY = 16
"""Characters that are judged when there are more ways. They are more than enough to be hard to guess."""
_GUESSABLE = 3
"""zxcvbn scores below this fall to fewer than 10^8 guesses."""
_SHORTEST_LOGIN = 3
"""A login of one or two characters may occur in a password by chance."""

TOO_SHORT = "too_short"
TOO_LONG = "too_long"
CONTAINS_LOGIN = "contains_login"
COMMON = "common"
CURRENT = "current"
REUSED = "reused"

NIST_SINGLE_FACTOR = 15
"""NIST SP 800-63B-4 section 3.1.1.2: the fewest characters of a password that is the only factor."""
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""For generated passwords: nothing that is read as something else (i, l, o, 0, 1)."""
_GROUP = 4
_GROUPS = 4
"""79 random bits."""


class PasswordPolicy(NamedTuple):
    """What the operator wants of passwords."""

    min_length: int = 12
    nist: bool = False
    """Whether a password that is the only factor must have `NIST_SINGLE_FACTOR` characters."""
    history: int = 5
    """How many of an account's latest passwords may not be chosen again, the present one among them."""
    steps: StepPolicy = StepPolicy()
    """Says who must have a second factor."""

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""
        two = self.steps.two_factor != "off" and (user.second_factor or must_set_up(user, self.steps))
        return self.min_length if two or not self.nist else max(self.min_length, NIST_SINGLE_FACTOR)


def generate(*, min_length: int) -> str:
    """A random password that is easy to copy from paper: `k7mq-x2fp-9rtw-hv4c`, longer when it must be."""
    groups = max(_GROUPS, -(-(min_length + 1) // (_GROUP + 1)))
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(groups))


def problems(password: str, *, login: str, min_length: int, known: Sequence[str] = ()) -> list[str]:
    """Every reason why `password` may not become the password of `login`; empty when it may.

    `known` are further words that an attacker would try first (name, e-mail address). Lengths count
    characters. Up to 50 ms of CPU: run it through `PasswordHasher.judge` where others wait. One call at a
    time: zxcvbn keeps `known` in a global.
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
        CURRENT: "This is the present password. Choose another one.",
        REUSED: "You have used this password before. Choose one that you have not used lately.",
    }[problem]


def rules(*, min_length: int, history: int = 1) -> list[str]:
    """All rules in words, to be read before choosing."""
    earlier = f"None of your last {history} passwords." if history > 1 else "Not your present password."
    return [
        f"At least {min_length} characters. Any characters, including spaces, are allowed.",
        "Not a common password, and not one that is easy to guess.",
        "Without your login in it.",
        earlier,
    ]


def _common(password: str, known: Sequence[str]) -> bool:
    """Whether zxcvbn's offline lists (passwords, names, words, keyboard rows, dates) give it away."""
    start = password[:_JUDGED]
    if not start:
        return False  # too short, and said so
    if _readings(start) > _READINGS:
        start = start[:_JUDGED_OF_MANY]
    judged: dict[str, int] = zxcvbn(start, user_inputs=[word for word in known if word])
    return judged["score"] < _GUESSABLE


def _readings(text: str) -> int:
    """In how many ways zxcvbn will read the symbols of `text` as letters; 736 at most, in 15 ms."""
    table = matching.relevant_l33t_subtable(text, matching.L33T_TABLE)
    return len(matching.enumerate_l33t_subs(table))
