"""New passwords: forced, encouraged, by choice."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.core.errors import Overloaded
from gatekeeper.core.steps import StepPolicy
from tests.pages.support import ADA, GOOD_PASSWORD, Browser, House, hidden, run

DAY = 86_400.0
NEW = "one password of mine"
POLICY = StepPolicy(password_max_age=90 * DAY, password_unused=30 * DAY)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"must_change": "first_logon"}, "An administrator chose the password of"),
        ({"must_change": "reset"}, "An administrator has reset the password of"),
        ({"password_changed_at": 1_800_000_000.0 - 91 * DAY}, "must be changed every 90 days"),
        (
            {
                "password_changed_at": 1_800_000_000.0 - 40 * DAY,
                "last_sign_in_at": 1_800_000_000.0 - 31 * DAY,
            },
            "for more than 30 days",
        ),
    ],
)
def test_the_page_says_why_a_new_password_is_needed(facts: dict[str, Any], words: str) -> None:
    async def story() -> None:
        house = House(policy=POLICY)
        house.accounts.change(**{"password_changed_at": 1_800_000_000.0, **facts})
        browser = Browser(house)
        answer = await browser.sign_in()
        assert answer.headers["location"] == "/_gate/password"
        page = await browser.get("/_gate/password")
        assert words in page.text
        assert "At least 12 characters" in page.text and "None of your last 5 passwords." in page.text
        assert f'autocomplete="username" value="{ADA.login}"' in page.text
        assert page.text.count('autocomplete="new-password"') == 2
        assert "Not now" not in page.text and "maxlength" not in page.text

    run(story)


@pytest.mark.parametrize(
    ("new", "confirm", "field", "words"),
    [
        ("", "", "new_password", "Enter a password."),
        (NEW, NEW + "!", "confirm_password", "The two passwords are not the same."),
        ("short", "short", "new_password", "Choose a longer password: at least 12 characters."),
    ],
)
def test_mistakes_are_said_at_their_field_and_nothing_is_repeated(
    new: str, confirm: str, field: str, words: str
) -> None:
    async def story() -> None:
        house = House()
        house.accounts.change(must_change="reset")
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/password")
        fields = {"csrf": hidden(page, "csrf"), "new_password": new, "confirm_password": confirm}
        answer = await browser.post("/_gate/password", fields)
        assert answer.status_code == 422
        assert f'<a href="#{field}">{words}</a>' in answer.text and f'id="{field}-err"' in answer.text
        assert "<title>Error: " in answer.text
        assert NEW not in answer.text

    run(story)


def test_an_encouraged_change_can_be_put_off_for_this_session() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(first_logon="encourage"))
        house.accounts.change(must_change="first_logon")
        browser = Browser(house)
        await browser.sign_in(next="/orders")
        page = await browser.get("/_gate/password?next=/orders")
        assert "Not now" in page.text
        fields = {"csrf": hidden(page, "csrf"), "next": "/orders", "skip": "1"}
        assert (await browser.post("/_gate/password", fields)).headers["location"] == "/orders"
        assert len(house.sign_in.completions) == 1

    run(story)


def test_a_required_change_cannot() -> None:
    async def story() -> None:
        house = House()
        house.accounts.change(must_change="first_logon")
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/password")
        answer = await browser.post("/_gate/password", {"csrf": hidden(page, "csrf"), "skip": "1"})
        assert answer.headers["location"] == "/_gate/password"
        assert not house.sign_in.completions

    run(story)


def test_by_choice_the_present_password_is_asked_for() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/password")
        assert 'autocomplete="current-password"' in page.text
        fields = {"csrf": hidden(page, "csrf"), "new_password": NEW, "confirm_password": NEW}
        for wrong in ({}, {"password": "wrong"}):
            answer = await browser.post("/_gate/password", {**fields, **wrong})
            assert answer.status_code == 403 and "This is not your present password." in answer.text
        answer = await browser.post("/_gate/password", {**fields, "password": GOOD_PASSWORD})
        assert "Password changed successfully" in answer.text
        assert house.accounts.passwords[ADA.id] == NEW
        assert [*house.sessions.live] == ["session-2"], "a new id, the same session"

    run(story)


def test_a_form_from_elsewhere_changes_nothing() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        fields = {"password": GOOD_PASSWORD, "new_password": NEW, "confirm_password": NEW}
        for path in ("password", "account", "2fa/setup", "2fa/saved", "forgot", "reset", "unlock", "invite"):
            await browser.post(
                f"/_gate/{path}",
                {**fields, "token": "mailed-token", "login": ADA.login, "do": "end_others", "code": "123456"},
                headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
            )
        assert house.accounts.passwords[ADA.id] == GOOD_PASSWORD
        assert not house.links.asked and not house.links.used and not house.sessions.ended

    run(story)


def test_a_busy_server_says_so() -> None:
    async def story() -> None:
        house = House()
        house.passwords.fails_with = Overloaded(retry_after=2)
        house.accounts.change(must_change="reset")
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/password")
        fields = {"csrf": hidden(page, "csrf"), "new_password": NEW, "confirm_password": NEW}
        answer = await browser.post("/_gate/password", fields)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")

    run(story)


def test_password_managers_find_the_page() -> None:
    async def story() -> None:
        browser = Browser(House())
        answer = await browser.get("/.well-known/change-password")
        assert (answer.status_code, answer.headers["location"]) == (302, "/_gate/password")
        answer = await browser.get("/_gate/password")
        assert answer.headers["location"] == "/_gate/login?next=/_gate/password"
        assert (await browser.sign_in(next="/_gate/password")).headers["location"] == "/_gate/password"

    run(story)


def test_who_came_to_change_an_expired_password_is_not_asked_twice() -> None:
    async def story() -> None:
        house = House()
        house.accounts.change(must_change="reset")
        browser = Browser(house)
        await browser.sign_in(next="/_gate/password")
        page = await browser.get("/_gate/password?next=/_gate/password")
        fields = {"csrf": hidden(page, "csrf"), "next": hidden(page, "next")}
        answer = await browser.post(
            "/_gate/password", {**fields, "new_password": NEW, "confirm_password": NEW}
        )
        assert answer.headers["location"] == "/"

    run(story)
