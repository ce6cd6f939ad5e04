"""The one-time administrator link."""

from __future__ import annotations

import pytest

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.errors import Overloaded
from tests.pages.support import Browser, House, hidden, run

FIELDS = {
    "token": "the-token",
    "login": " root@example.com ",
    "name": "Root",
    "email": "root@example.com",
    "password": " keeps its spaces ",
}


def test_looking_at_the_page_uses_nothing_up() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        for _ in range(3):
            page = await browser.get("/_gate/setup?token=the-token")
            assert page.status_code == 200
            assert "the-token" not in page.text
        assert not house.link.redeemed

    run(story)


def test_the_form_makes_the_account_and_signs_in() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        page = await browser.get("/_gate/setup")
        answer = await browser.post("/_gate/setup", {**FIELDS, "csrf": hidden(page, "csrf")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert house.link.redeemed == [
            {
                "login": "root@example.com",
                "name": "Root",
                "email": "root@example.com",
                "password": " keeps its spaces ",
            }
        ]
        (session,) = house.sessions.live.values()
        assert session.record.user_id == 7

    run(story)


def test_without_an_open_link_the_page_promises_nothing() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        assert "You will be the administrator" in (await browser.get("/_gate/setup")).text
        house.link.redeemed.append({})
        page = await browser.get("/_gate/setup")
        assert page.status_code == 410 and "This link does not work any more" in page.text
        assert "administrator" not in page.text and "<form" not in page.text

    run(story)


def test_a_used_link_makes_no_second_administrator() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/setup"), "csrf")
        await browser.post("/_gate/setup", {**FIELDS, "csrf": csrf})
        again = await browser.post("/_gate/setup", {**FIELDS, "csrf": csrf})
        assert again.status_code == 422
        assert "This link was used already" in again.text
        assert len(house.link.redeemed) == 1 and len(house.sessions.live) == 1

    run(story)


@pytest.mark.parametrize(
    ("error", "field", "words"),
    [
        (AccountError("bad_password", problems=["too_short"]), "password", "at least 12 characters."),
        (
            AccountError("bad_password", problems=["too_short", "common"]),
            "password",
            "at least 12 characters.</p>",
        ),
        (AccountError("bad_password", problems=["too_long"]), "password", "at most 1024 characters."),
        (
            AccountError("bad_password", problems=["common", "contains_login"]),
            "password",
            "too easy to guess",
        ),
        (AccountError("login_taken"), "login", "Another account has this login"),
        (AccountError("bad_login"), "login", "Enter a login"),
        (AccountError("bad_name"), "name", "Enter a name"),
        (AccountError("bad_email"), "email", "Enter an e-mail address"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_in_a_summary(
    error: AccountError, field: str, words: str
) -> None:
    async def story() -> None:
        house = House()
        house.link.fails_with = error
        browser = Browser(house)
        page = await browser.get("/_gate/setup")
        answer = await browser.post("/_gate/setup", {**FIELDS, "csrf": hidden(page, "csrf")})
        assert answer.status_code == 422
        assert "<title>Error: " in answer.text
        assert f'<a href="#{field}">' in answer.text
        assert f'id="{field}-err"' in answer.text
        assert words in answer.text
        assert answer.text.count('aria-invalid="true"') == 1
        assert 'value="root@example.com"' in answer.text
        assert "keeps its spaces" not in answer.text
        assert not house.sessions.live

    run(story)


def test_a_busy_server_and_a_stale_form_keep_what_was_typed() -> None:
    async def story() -> None:
        house = House()
        house.link.fails_with = Overloaded(retry_after=2)
        browser = Browser(house)
        page = await browser.get("/_gate/setup")
        busy = await browser.post("/_gate/setup", {**FIELDS, "csrf": hidden(page, "csrf")})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
        stale = await browser.post("/_gate/setup", {**FIELDS, "csrf": "x"})
        assert stale.status_code == 403
        for answer in (busy, stale):
            assert 'value="the-token"' in answer.text and 'value="Root"' in answer.text

    run(story)


def test_the_rules_are_said_before_choosing() -> None:
    async def story() -> None:
        page = await Browser(House()).get("/_gate/setup")
        assert "At least 12 characters" in page.text
        assert 'aria-describedby="password-hint"' in page.text
        assert 'autocomplete="new-password"' in page.text

    run(story)
