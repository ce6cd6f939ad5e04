"""What a new password must be, and how it is said."""

from __future__ import annotations

import re

import pytest
from zxcvbn import matching

from gatekeeper.accounts import passwords
from gatekeeper.accounts.passwords import COMMON, CONTAINS_LOGIN, MAX_LENGTH, TOO_LONG, TOO_SHORT

LOGIN = "pat@example.com"


def judge(password: str, *, login: str = LOGIN, min_length: int = 12) -> list[str]:
    return passwords.problems(password, login=login, min_length=min_length, known=("Pat Example",))


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "nur kleine buchstaben hier",
        "七つの海を越えて旅をする人",  # any Unicode
        "v9#Lq!2rXz&w",
        "violet tractor mumbles at noon " * 3,  # longer than zxcvbn takes
    ],
)
def test_a_good_password_needs_no_mixture_of_characters(password: str) -> None:
    assert judge(password) == []


def test_the_minimum_counts_characters_and_is_exact() -> None:
    assert judge("kv7 qmz wpx", min_length=12) == [TOO_SHORT]
    assert judge("kv7 qmz wpxj", min_length=12) == []
    assert TOO_SHORT in judge("")


def test_long_passwords_are_welcome_endless_ones_are_not() -> None:
    long = "violet tractor mumbles at noon, unasked and twice over, said the old miller"
    assert len(long) > 64
    assert judge(long) == []
    assert judge((long * 20)[:MAX_LENGTH]) == []
    assert judge("x" * (MAX_LENGTH + 1)) == [TOO_LONG]


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Passw0rd1234",
        "P@ssw0rd2024!",
        "qwertyuiop12",
        "aaaaaaaaaaaa",
        "123456789012",
        "iloveyou2023",
    ],
)
def test_common_and_obvious_passwords_are_refused_whatever_their_decoration(password: str) -> None:
    assert COMMON in judge(password)


def test_the_persons_own_data_is_guessed_first() -> None:
    assert COMMON in judge("Pat Example1", login="somebody-else")


@pytest.mark.parametrize("password", ["my PAT@Example.com key", "zz-\uff50at@example.com-zz-9"])
def test_the_login_may_not_occur_in_any_spelling(password: str) -> None:
    assert CONTAINS_LOGIN in judge(password)


def test_a_very_short_login_does_not_forbid_its_letters() -> None:
    assert judge("violet tractor mumbles", login="vi") == []


def test_every_problem_has_its_sentence_and_every_rule_is_said_beforehand() -> None:
    for problem in (TOO_SHORT, TOO_LONG, CONTAINS_LOGIN, COMMON):
        assert passwords.words(problem, min_length=14).endswith(".")
    assert "14" in passwords.words(TOO_SHORT, min_length=14)
    assert "14" in passwords.rules(min_length=14)[0]


@pytest.mark.parametrize("least", [8, 12, 15, 19, 20, 64])
def test_a_generated_password_follows_the_rules_and_is_easy_to_copy(least: int) -> None:
    made = {passwords.generate(min_length=least) for _ in range(20)}
    assert len(made) == 20
    for password in made:
        assert len(password) >= max(least, 19)
        assert re.fullmatch("([a-hj-km-np-z2-9]{4}-)+[a-hj-km-np-z2-9]{4}", password)
        assert judge(password, min_length=least) == []


def test_the_rules_say_how_many_earlier_passwords_are_refused() -> None:
    assert passwords.rules(min_length=12, history=5)[-1] == "None of your last 5 passwords."
    assert passwords.rules(min_length=12)[-1] == "Not your present password."


FULL_OF_SYMBOLS = ("4@8({[<369&#!1/|0$5+7%2" * 4)[:72]


def parts_looked_up(monkeypatch: pytest.MonkeyPatch, password: str) -> int:
    """How many parts of texts zxcvbn looks up in its lists to judge `password`."""
    looked_up, original = 0, matching.dictionary_match

    def counting(text: str, *args: object, **kwargs: object) -> object:
        nonlocal looked_up
        looked_up += len(text) * (len(text) + 1) // 2
        return original(text, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(matching, "dictionary_match", counting)
        judge(password)
    return looked_up


@pytest.mark.parametrize(
    "password", [FULL_OF_SYMBOLS, FULL_OF_SYMBOLS[16:], "pat@example.com" + FULL_OF_SYMBOLS]
)
def test_a_text_full_of_symbols_costs_little_more_than_any_other(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    ordinary = parts_looked_up(monkeypatch, "violet tractor mumbles at noon, unasked and twice over, said he")
    assert parts_looked_up(monkeypatch, password) < 20 * ordinary


def test_symbols_do_not_hide_a_common_beginning() -> None:
    assert judge(FULL_OF_SYMBOLS) == []
    assert judge("P@ssw0rdP@ssw0rd" + FULL_OF_SYMBOLS) == [COMMON]
