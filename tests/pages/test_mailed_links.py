"""Forgot, reset, invitation, unlocking: the pages around mailed links."""

from __future__ import annotations

import pytest

from gatekeeper.core.errors import RateLimited
from gatekeeper.pages.app import make_pages
from tests.pages.support import ADA, Browser, House, hidden, run

NEW = "one password of mine"


def test_the_notice_is_the_same_for_any_login() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        page = await browser.get("/_gate/forgot")
        assert "Send recovery e-mail" in page.text and 'autocomplete="username"' in page.text
        answers = [
            await browser.post("/_gate/forgot", {"csrf": hidden(page, "csrf"), "login": login})
            for login in (ADA.login, "nobody@example.com")
        ]
        assert {answer.headers["location"] for answer in answers} == {"/_gate/forgot?sent=1"}
        assert house.links.asked == [ADA.login, "nobody@example.com"]
        assert "is on its way" in (await browser.get("/_gate/forgot?sent=1")).text

    run(story)


def test_an_empty_login_and_too_many_wishes_are_said() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/forgot"), "csrf")
        empty = await browser.post("/_gate/forgot", {"csrf": csrf, "login": " "})
        assert empty.status_code == 422 and "Enter your login." in empty.text
        house.links.fails_with = RateLimited(600)
        many = await browser.post("/_gate/forgot", {"csrf": csrf, "login": ADA.login})
        assert (many.status_code, many.headers["retry-after"]) == (429, "600")
        assert f'value="{ADA.login}"' in many.text

    run(story)


def test_without_mail_nobody_is_offered_one() -> None:
    async def story() -> None:
        house = House()
        house.links.enabled = False
        house.pages = make_pages(house.services())
        browser = Browser(house)
        assert "Forgot password?" not in (await browser.get("/_gate/login")).text
        page = await browser.get("/_gate/forgot")
        assert "cannot send e-mails" in page.text and "<form" not in page.text

    run(story)


@pytest.mark.parametrize("page", ["reset", "invite", "unlock"])
def test_looking_at_a_link_uses_nothing_up_and_tells_nobody_the_token(page: str) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        for _ in range(10):
            answer = await browser.get(f"/_gate/{page}?token=mailed-token")
            assert answer.status_code == 200
            assert (await browser.http.head(f"/_gate/{page}?token=mailed-token")).status_code == 200
            assert answer.headers["referrer-policy"] == "strict-origin"
            assert hidden(answer, "token") == "mailed-token"
        assert house.links.used == 0
        assert "mailed-token" not in (await browser.get(f"/_gate/{page}?token=other")).text

    run(story)


@pytest.mark.parametrize("page", ["reset", "invite", "unlock"])
@pytest.mark.parametrize("token", ["", "old", "%C3%A9", "x" * 300])
def test_a_link_that_is_over_says_so_and_what_to_do(page: str, token: str) -> None:
    async def story() -> None:
        browser = Browser(House())
        answer = await browser.get(f"/_gate/{page}?token={token}")
        assert answer.status_code == 410
        assert "This link does not work any more" in answer.text
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        sent = {"csrf": csrf, "token": "old", "new_password": NEW, "confirm_password": NEW}
        assert (await browser.post(f"/_gate/{page}", sent)).status_code == 410

    run(story)


def test_a_reset_sets_the_password_and_signs_nobody_in() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        page = await browser.get("/_gate/reset?token=mailed-token")
        for words in ("Set new password", "New password", "Confirm password", ">Reset password</button>"):
            assert words in page.text
        fields = {"csrf": hidden(page, "csrf"), "token": "mailed-token"}
        weak = {"new_password": "short", "confirm_password": "short"}
        answer = await browser.post("/_gate/reset", {**fields, **weak})
        assert answer.status_code == 422 and hidden(answer, "token") == "mailed-token"
        good = {"new_password": NEW, "confirm_password": NEW}
        answer = await browser.post("/_gate/reset", {**fields, **good})
        assert answer.headers["location"] == "/_gate/reset?done=1"
        assert house.accounts.passwords[ADA.id] == NEW and not house.sessions.live
        done = await browser.get("/_gate/reset?done=1")
        assert "Password changed successfully" in done.text and "Back to Log in" in done.text
        assert (await browser.post("/_gate/reset", {**fields, **good})).status_code == 410

    run(story)


def test_the_unlock_page_shows_a_button_and_the_button_unlocks() -> None:
    async def story() -> None:
        house = House()
        house.accounts.locked.add(ADA.id)
        browser = Browser(house)
        page = await browser.get("/_gate/unlock?token=mailed-token")
        assert "Unlock account" in page.text and house.accounts.locked
        fields = {"csrf": hidden(page, "csrf"), "token": "mailed-token"}
        answer = await browser.post("/_gate/unlock", fields)
        assert answer.headers["location"] == "/_gate/unlock?done=1"
        assert not house.accounts.locked and not house.sessions.live
        assert "Your account is unlocked" in (await browser.get("/_gate/unlock?done=1")).text

    run(story)


def test_an_invitation_with_a_password_leads_to_sign_in() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        page = await browser.get("/_gate/invite?token=mailed-token")
        assert "Sign in with this login and the password from the e-mail" in page.text
        answer = await browser.post("/_gate/invite", {"csrf": hidden(page, "csrf"), "token": "mailed-token"})
        assert answer.headers["location"] == "/_gate/login"
        assert house.links.used == 1 and not house.sessions.live

    run(story)


def test_an_invitation_without_one_asks_for_the_first() -> None:
    async def story() -> None:
        house = House()
        del house.accounts.passwords[ADA.id]
        browser = Browser(house)
        page = await browser.get("/_gate/invite?token=mailed-token")
        fields = {"csrf": hidden(page, "csrf"), "token": "mailed-token"}
        empty = await browser.post("/_gate/invite", fields)
        assert empty.status_code == 422 and house.links.used == 0
        weak = {"new_password": "short", "confirm_password": "short"}
        assert (await browser.post("/_gate/invite", {**fields, **weak})).status_code == 422
        answer = await browser.post("/_gate/invite", {**fields, "new_password": NEW, "confirm_password": NEW})
        assert answer.headers["location"] == "/_gate/login?ended=password_set"
        assert house.accounts.passwords[ADA.id] == NEW and not house.sessions.live

    run(story)
