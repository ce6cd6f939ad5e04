"""Signing in, as a person with a browser does it."""

from __future__ import annotations

import pytest

from gatekeeper.core.errors import Overloaded, StoreUnavailable
from gatekeeper.core.session import EndReason
from gatekeeper.pages.services import Branding
from tests.pages.support import ADA, COOKIES, GOOD_PASSWORD, Browser, House, hidden, run, set_cookies

MESSAGE = "Invalid user login or password"


def test_the_right_password_leads_back_to_where_the_person_wanted_to_go() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        answer = await browser.sign_in(next="/orders/42?tab=notes#row5")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/orders/42?tab=notes#row5"
        assert list(house.sessions.live) == ["session-1"]
        (session,) = house.sessions.live.values()
        assert (session.record.methods, session.record.client) == ("pwd", "192.0.2.7")
        assert session.record.user_agent.startswith("python-httpx")
        assert house.sign_in.asked == [("192.0.2.7", "req-1")]

    run(story)


def test_the_session_cookie_is_host_only_and_out_of_reach_of_scripts() -> None:
    async def story() -> None:
        answer = await Browser(House()).sign_in()
        (cookie,) = [line for line in set_cookies(answer) if line.startswith(COOKIES.session + "=")]
        assert cookie == "__Host-gatekeeper=session-1; Path=/; HttpOnly; SameSite=Lax; Secure"

    run(story)


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("nobody@example.com", "wrong"),
        (ADA.login, "wrong"),
        ("", GOOD_PASSWORD),
        (ADA.login, ""),
        ("", ""),
    ],
)
def test_everything_wrong_is_one_answer(login: str, password: str) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        wrong = await browser.sign_in(login=login, password=password)
        other = await browser.sign_in(login="zzz", password="zzz")
        assert wrong.status_code == other.status_code == 403
        assert wrong.text.replace(f'value="{login}"', "") == other.text.replace('value="zzz"', "")
        assert f">{MESSAGE}</a>" in wrong.text
        assert "<title>Error: Sign in" in wrong.text
        assert not house.sessions.live
        assert set_cookies(wrong) == []

    run(story)


def test_after_an_error_the_login_is_kept_and_the_password_is_not() -> None:
    async def story() -> None:
        wrong = await Browser(House()).sign_in(login='<b>"ada', password="hunter2-hunter2", next="/a#b")
        assert 'value="&lt;b&gt;&#34;ada"' in wrong.text
        assert "hunter2" not in wrong.text
        assert hidden(wrong, "next") == "/a#b"

    run(story)


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/_gate/login"]
)
def test_nobody_is_sent_to_another_site(target: str) -> None:
    async def story() -> None:
        browser = Browser(House())
        assert (await browser.sign_in(next=target)).headers["location"] == "/"
        again = await browser.http.get("/_gate/login", params={"next": target})
        assert again.headers["location"] == "/"

    run(story)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Overloaded(retry_after=3), "The server is busy."),
        (StoreUnavailable(retry_after=3), "The server cannot reach its own records."),
    ],
)
def test_a_server_that_cannot_says_why_and_when_to_come_back(failure: Exception, words: str) -> None:
    async def story() -> None:
        house = House()
        house.sign_in.fails_with = failure
        answer = await Browser(house).sign_in()
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "3"
        assert words in answer.text and answer.text.count("The server") == 1
        assert "ry again in a few seconds" in answer.text
        assert house.reported == [(failure, "req-1")], "the cause is told to the log, once"
        assert f'value="{ADA.login}"' in answer.text

    run(story)


def test_a_session_store_that_is_down_is_no_sign_in() -> None:
    async def story() -> None:
        house = House()
        house.sessions.fails_with = StoreUnavailable()
        answer = await Browser(house).sign_in()
        assert answer.status_code == 503
        assert not any(line.startswith(COOKIES.session) for line in set_cookies(answer))
        assert [type(error) for error, _ in house.reported] == [StoreUnavailable]

    run(story)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("idle", "Your session has ended because you were inactive"),
        ("absolute", "Your session has ended because it reached its maximum length"),
        ("revoked", "Your session has ended because it was signed out elsewhere or by an administrator"),
        ("signed_out", "You have signed out"),
    ],
)
def test_the_page_says_why_the_session_is_over(reason: str, words: str) -> None:
    async def story() -> None:
        page = await Browser(House()).get(f"/_gate/login?next=/orders&ended={reason}")
        assert words in page.text
        assert hidden(page, "next") == "/orders"

    run(story)


def test_an_unknown_reason_is_not_shown() -> None:
    async def story() -> None:
        page = await Browser(House()).get("/_gate/login?ended=%3Cscript%3Ehello")
        assert "hello" not in page.text
        assert 'class="note' not in page.text

    run(story)


def test_whoever_is_signed_in_goes_on_without_a_form() -> None:
    async def story() -> None:
        browser = Browser(House())
        await browser.sign_in()
        answer = await browser.get("/_gate/login?next=/orders")
        assert (answer.status_code, answer.headers["location"]) == (303, "/orders")

    run(story)


def test_a_redirect_loop_ends_with_an_explanation() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in(next="/start")
        statuses = [(await browser.get("/_gate/login?next=/orders")).status_code for _ in range(3)]
        assert statuses == [303, 303, 303]
        page = await browser.get("/_gate/login?next=/orders")
        assert page.status_code == 200
        assert "Going round in circles" in page.text
        assert (await browser.get("/_gate/login?next=/orders")).status_code == 303, "counted anew"

    run(story)


def test_slow_or_different_bounces_are_no_loop() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        for number in range(6):
            assert (await browser.get(f"/_gate/login?next=/orders/{number}")).status_code == 303
        for _ in range(6):
            house.clock.now += 20
            assert (await browser.get("/_gate/login?next=/orders")).status_code == 303

    run(story)


def test_a_browser_that_loses_the_session_cookie_is_told() -> None:
    async def story() -> None:
        browser = Browser(House())
        for _ in range(3):
            await browser.sign_in(next="/orders")
            browser.http.cookies.delete(COOKIES.session)
        page = await browser.get("/_gate/login?next=/orders")
        assert "Your browser did not keep our cookie" in page.text

    run(story)


def test_signing_in_again_ends_the_session_before() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        page = await browser.get("/_gate/login")
        await browser.sign_in()
        await browser.post(
            "/_gate/login",
            {"csrf": hidden(page, "csrf"), "login": ADA.login, "password": GOOD_PASSWORD},
        )
        assert list(house.sessions.live) == ["session-2"]
        assert [reason for _, reason in house.sessions.ended] == [EndReason.REPLACED]

    run(story)


def test_the_help_link_says_whether_it_is_a_person_or_a_page() -> None:
    async def story() -> None:
        for address, words in (
            ("mailto:it@example.com", "Contact support"),
            ("https://help.example.com/", "Help"),
        ):
            house = House(branding=Branding(help_url=address))
            assert (
                f'<a href="{address}">{words}</a></footer>' in (await Browser(house).get("/_gate/login")).text
            )

    run(story)


def test_the_operators_words_are_used_and_escaped() -> None:
    async def story() -> None:
        branding = Branding(
            product_name="Orders & <more>", login_label="E-mail", help_url="mailto:it@example.com"
        )
        page = await Browser(House(branding=branding)).get("/_gate/login")
        assert "Orders &amp; &lt;more&gt;" in page.text
        assert '<label for="login">E-mail</label>' in page.text
        assert 'href="mailto:it@example.com"' in page.text

    run(story)
