"""Signing out: asked for by a link, done by a form only."""

from __future__ import annotations

from gatekeeper.audit.events import EventKind
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import EndReason
from tests.pages.support import COOKIES, Browser, House, hidden, run, set_cookies


def test_a_link_only_asks() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/logout")
        assert "Sign out?" in page.text and "<strong>Ada</strong>" in page.text
        assert 'href="/_gate/account"' in page.text
        assert house.sessions.live

    run(story)


def test_the_form_ends_the_session_in_the_store_and_in_the_browser() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/logout")
        answer = await browser.post("/_gate/logout", {"csrf": hidden(page, "csrf")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/_gate/signed-out")
        assert [reason for _, reason in house.sessions.ended] == [EndReason.SIGNED_OUT]
        assert f"{COOKIES.session}=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0" in set_cookies(answer)
        assert answer.headers["clear-site-data"] == '"cache"'
        assert COOKIES.session not in browser.http.cookies
        ((kind, values),) = house.audit.events
        assert kind is EventKind.SIGNED_OUT
        assert (values["login"], values["client"], values["request_id"]) == (
            "ada@example.com",
            "192.0.2.7",
            "req-1",
        )
        done = await browser.get("/_gate/signed-out")
        assert "You have signed out" in done.text and 'href="/_gate/login"' in done.text

    run(story)


def test_another_sites_form_signs_nobody_out() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        csrf = hidden(await browser.get("/_gate/logout"), "csrf")
        for fields, headers in (
            ({"csrf": csrf}, {"sec-fetch-site": "cross-site"}),
            ({"csrf": csrf}, {"origin": "https://evil.example"}),
            ({"csrf": "x"}, {}),
            ({"x": "y"}, {}),
        ):
            answer = await browser.post("/_gate/logout", fields, headers=headers)
            assert answer.status_code == 403 and "Sign out?" in answer.text
        assert house.sessions.live

    run(story)


def test_another_sites_form_does_not_clear_cookies_that_it_comes_without() -> None:
    """SameSite=Lax: the browser leaves our cookies out, but would take an order to forget them."""

    async def story() -> None:
        house = House()
        browser = Browser(house)
        for headers in ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, {}):
            answer = await browser.post("/_gate/logout", {"then": "login"}, headers=headers)
            assert (answer.status_code, answer.headers["location"]) == (303, "/_gate/signed-out")
            assert set_cookies(answer) == [] and "clear-site-data" not in answer.headers

    run(story)


def test_signing_out_leads_to_no_other_site() -> None:
    async def story() -> None:
        browser = Browser(House())
        await browser.sign_in()
        csrf = hidden(await browser.get("/_gate/logout"), "csrf")
        fields = {"csrf": csrf, "then": "login", "next": "//evil.example/"}
        assert (await browser.post("/_gate/logout", fields)).headers["location"] == "/_gate/login?next=/"

    run(story)


def test_a_store_that_is_down_does_not_pretend() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        csrf = hidden(await browser.get("/_gate/logout"), "csrf")
        house.sessions.fails_with = StoreUnavailable()
        answer = await browser.post("/_gate/logout", {"csrf": csrf})
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert [type(error) for error, _ in house.reported] == [StoreUnavailable]
        assert set_cookies(answer) == []

    run(story)


def test_signing_in_as_someone_else_comes_back_to_the_page() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        csrf = hidden(await browser.get("/_gate/logout"), "csrf")
        answer = await browser.post(
            "/_gate/logout", {"csrf": csrf, "then": "login", "next": "/audit?from=1&to=2#top"}
        )
        assert answer.headers["location"] == "/_gate/login?next=/audit%3Ffrom%3D1%26to%3D2%23top"
        assert not house.sessions.live
        page = await browser.get(answer.headers["location"])
        assert hidden(page, "next") == "/audit?from=1&amp;to=2#top"

    run(story)


def test_without_a_session_there_is_nothing_to_ask() -> None:
    async def story() -> None:
        answer = await Browser(House()).get("/_gate/logout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/_gate/signed-out")

    run(story)


def test_nobody_is_told_that_they_signed_out_while_they_are_signed_in() -> None:
    async def story() -> None:
        browser = Browser(House())
        await browser.sign_in()
        assert (await browser.get("/_gate/signed-out")).headers["location"] == "/_gate/logout"

    run(story)
