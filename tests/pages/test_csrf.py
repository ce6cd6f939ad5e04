"""Forms from elsewhere change nothing, and a form of ours that cannot be trusted is met with words."""

from __future__ import annotations

import pytest

from gatekeeper.audit.events import EventKind
from gatekeeper.core.context import Refusal
from tests.pages.support import (
    ADA,
    COOKIES,
    GOOD_PASSWORD,
    ORIGIN,
    SECRET,
    Browser,
    House,
    hidden,
    run,
    set_cookies,
)


def _fields(csrf: str) -> dict[str, str]:
    return {"csrf": csrf, "login": ADA.login, "password": GOOD_PASSWORD, "next": "/orders"}


def test_all_tabs_share_one_value() -> None:
    async def story() -> None:
        browser = Browser(House())
        first = await browser.get("/_gate/login")
        second = await browser.get("/_gate/login")
        assert hidden(first, "csrf") == hidden(second, "csrf")
        assert len(set_cookies(first)) == 1 and set_cookies(second) == []
        assert set_cookies(first)[0].startswith("__Host-gatekeeper_csrf=")
        assert set_cookies(first)[0].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")

    run(story)


def test_the_value_survives_signing_in_and_out() -> None:
    async def story() -> None:
        browser = Browser(House())
        before = hidden(await browser.get("/_gate/login"), "csrf")
        await browser.sign_in()
        assert hidden(await browser.get("/_gate/logout"), "csrf") == before
        await browser.post("/_gate/logout", {"csrf": before})
        assert hidden(await browser.get("/_gate/login"), "csrf") == before

    run(story)


def test_tabs_opened_at_once_all_sign_in() -> None:
    """A browser that restores its tabs asks for all before it has a cookie; the last cookie stays."""

    async def story() -> None:
        house = House()
        browser, other = Browser(house), Browser(house)
        first = await browser.get("/_gate/login")
        house.clock.now += 2
        last = await other.get("/_gate/login")
        browser.http.cookies = other.http.cookies
        for page in (first, last):
            assert (await browser.post("/_gate/login", _fields(hidden(page, "csrf")))).status_code == 303

    run(story)


@pytest.mark.parametrize(
    ("later", "headers"),
    [
        (61, {}),
        (2, {"sec-fetch-site": "none"}),
        (2, {"sec-fetch-site": ""}),
        (2, {"origin": ""}),
    ],
)
def test_a_value_of_another_browser_is_believed_under_no_other_circumstances(
    later: float, headers: dict[str, str]
) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        theirs = hidden(await Browser(house).get("/_gate/login"), "csrf")
        house.clock.now += later
        await browser.get("/_gate/login")
        answer = await browser.post("/_gate/login", _fields(theirs), headers=headers)
        assert answer.status_code == 403
        assert not house.sign_in.asked

    run(story)


@pytest.mark.parametrize(
    "forged", ["", "x", "1800000000-x.y", "\u00e9", "1800000000-abcdefabcdefabcdefabcdef"]
)
def test_a_stale_form_is_shown_again_with_the_login_and_without_the_password(forged: str) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.get("/_gate/login")
        answer = await browser.post("/_gate/login", _fields(forged))
        assert answer.status_code == 403
        assert "Please send the form once more" in answer.text
        assert f'value="{ADA.login}"' in answer.text
        assert hidden(answer, "next") == "/orders"
        assert GOOD_PASSWORD not in answer.text
        assert not house.sign_in.asked and not house.audit.events
        again = await browser.post("/_gate/login", _fields(hidden(answer, "csrf")))
        assert again.status_code == 303

    run(story)


def test_the_cookies_value_is_not_the_fields() -> None:
    """Whoever can read a Cookie header in a log cannot make a form of it."""

    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.get("/_gate/login")
        cookie = browser.http.cookies[COOKIES.csrf]
        assert (await browser.post("/_gate/login", _fields(cookie))).status_code == 403

    run(story)


def test_without_the_cookie_the_page_explains_and_keeps_the_login() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        browser.http.cookies.clear()
        answer = await browser.post("/_gate/login", _fields(csrf))
        assert answer.status_code == 403
        for words in (
            "Your browser did not keep our cookie",
            "public_url",
            "clock",
            f'href="{ORIGIN}/_gate/login"',
        ):
            assert words in answer.text
        assert f'value="{ADA.login}"' in answer.text and GOOD_PASSWORD not in answer.text
        assert not house.sign_in.asked
        ((kind, values),) = house.audit.events
        assert kind is EventKind.FORM_REFUSED
        assert values["details"] == {"form": "/_gate/login", "why": "no_cookie"}

    run(story)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://gate.example.com"},
        {"origin": "https://gate.example.com:8443"},
        {"origin": "https://evil.example", "host": "evil.example"},
        {"origin": "https://evil.example", "sec-fetch-site": ""},
    ],
)
def test_a_form_of_another_origin_is_refused_whatever_it_holds(headers: dict[str, str]) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        answer = await browser.post("/_gate/login", _fields(csrf), headers=headers)
        assert answer.status_code == 403
        assert "This form came from another address" in answer.text
        assert not house.sign_in.asked and not house.sessions.live
        assert house.audit.events[0][1]["details"]["why"] == "foreign"
        assert set_cookies(answer) == []

    run(story)


def test_another_sites_form_does_not_replace_the_value_of_open_tabs() -> None:
    async def story() -> None:
        house = House(refusals={"/x": Refusal(403, "forbidden")})
        for path in ("/_gate/login", "/x"):
            answer = await Browser(house).post(path, _fields("x"), headers={"sec-fetch-site": "cross-site"})
            assert answer.status_code == 403 and set_cookies(answer) == []

    run(story)


def test_programs_that_send_neither_header_need_the_value_all_the_same() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        silent = {"origin": "", "sec-fetch-site": ""}
        assert (await browser.post("/_gate/login", _fields("x"), headers=silent)).status_code == 403
        assert (await browser.post("/_gate/login", _fields(csrf), headers=silent)).status_code == 303

    run(story)


def test_a_new_secret_in_front_keeps_open_forms_and_a_lost_one_makes_them_stale() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        rotated = house.with_secrets("a new secret of at least thirty-two b", SECRET)
        moved = Browser(rotated)
        moved.http.cookies = browser.http.cookies
        assert (await moved.post("/_gate/login", _fields(csrf))).status_code == 303
        fresh = Browser(house.with_secrets("a new secret of at least thirty-two b"))
        fresh.http.cookies.update((await Browser(rotated).get("/_gate/login")).cookies)
        page = await fresh.get("/_gate/login")
        assert set_cookies(page) == [], "the first secret signs"
        lost = Browser(house.with_secrets("a new secret of at least thirty-two b"))
        lost.http.cookies = browser.http.cookies
        answer = await lost.post("/_gate/login", _fields(csrf))
        assert "Please send the form once more" in answer.text
        assert (await lost.post("/_gate/login", _fields(hidden(answer, "csrf")))).status_code == 303

    run(story)
