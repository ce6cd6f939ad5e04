"""The own account, and the welcome."""

from __future__ import annotations

from gatekeeper.core.steps import StepPolicy
from gatekeeper.pages.services import Branding, Slide
from tests.pages.support import ADA, GOOD_PASSWORD, Browser, House, hidden, run

TWO = StepPolicy(two_factor="optional")
SLIDES = [
    Slide("One", "First."),
    Slide("Two", "Second.", b"<svg/>", "image/svg+xml"),
    Slide("Three", "Last."),
]


async def _signed_in(house: House) -> tuple[Browser, str]:
    browser = Browser(house)
    await browser.sign_in()
    return browser, hidden(await browser.get("/_gate/logout"), "csrf")


def test_whoever_has_no_password_here_is_offered_none_and_asked_for_none() -> None:
    """They sign in elsewhere; guesses at a password that there is not would only lock the account."""

    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.sign_in()
        csrf = hidden(await browser.get("/_gate/password"), "csrf")
        assert "Change password" in (await browser.get("/_gate/account")).text
        house.accounts.change(has_password=False)
        page = await browser.get("/_gate/account")
        assert "assword" not in page.text
        assert (await browser.get("/_gate/password")).headers["location"] == "/_gate/account"
        fields = {"csrf": csrf, "password": "a guess", "new_password": "x" * 20, "confirm_password": "x" * 20}
        assert (await browser.post("/_gate/password", fields)).headers["location"] == "/_gate/account"
        assert house.accounts.passwords[ADA.id] == GOOD_PASSWORD

    run(story)


def test_it_shows_what_there_is_to_know() -> None:
    async def story() -> None:
        house = House(policy=TWO._replace(password_max_age=90 * 86_400.0))
        house.accounts.change(password_changed_at=house.clock() - 80 * 86_400)
        await Browser(house).sign_in()
        browser, _ = await _signed_in(house)
        page = await browser.get("/_gate/account")
        for words in (
            "It expires in 10 days.",
            "Set up two-factor authentication",
            "This browser",
            "Sign out everywhere else",
            "failed attempt",
            "198.51.100.4",
        ):
            assert words in page.text

    run(story)


def test_nobody_sees_it_without_signing_in() -> None:
    async def story() -> None:
        answer = await Browser(House()).get("/_gate/account")
        assert answer.headers["location"] == "/_gate/login?next=/_gate/account"

    run(story)


def test_one_session_or_all_others_can_be_ended() -> None:
    async def story() -> None:
        house = House()
        for _ in range(3):
            await Browser(house).sign_in()
        browser, csrf = await _signed_in(house)
        public_id = house.sessions.live["session-1"].record.public_id
        one = {"csrf": csrf, "do": "end_session", "session": public_id}
        assert (await browser.post("/_gate/account", one)).headers["location"].endswith("done=session_ended")
        assert [*house.sessions.live] == ["session-2", "session-3", "session-4"]
        await browser.post("/_gate/account", {"csrf": csrf, "do": "end_others"})
        assert [*house.sessions.live] == ["session-4"]

    run(story)


def test_changes_of_the_second_factor_need_a_code() -> None:
    async def story() -> None:
        house = House(policy=TWO)
        browser, csrf = await _signed_in(house)
        house.accounts.change(second_factor=True)
        await _prove(browser)
        for do, field in (("new_codes", "codes-code"), ("remove_second_factor", "remove-code")):
            refused = await browser.post("/_gate/account", {"csrf": csrf, "do": do, "code": "1"})
            assert refused.status_code == 403 and f'id="{field}-err"' in refused.text
        assert house.accounts.by_id[ADA.id].second_factor
        codes = await browser.post("/_gate/account", {"csrf": csrf, "do": "new_codes", "code": "123456"})
        assert codes.text.count("-wxyz") == 10 and hidden(codes, "next") == "/_gate/account"
        removed = await browser.post(
            "/_gate/account", {"csrf": csrf, "do": "remove_second_factor", "code": "123456"}
        )
        assert removed.headers["location"].endswith("done=second_factor_removed")
        assert not house.accounts.by_id[ADA.id].second_factor

    run(story)


def test_who_must_have_a_second_factor_sets_up_the_new_one_at_once() -> None:
    async def story() -> None:
        house = House(policy=TWO)
        house.accounts.change(second_factor=True, two_factor="mandatory")
        browser = Browser(house)
        await browser.sign_in()
        await _prove(browser)
        page = await browser.get("/_gate/account")
        assert "Use another phone or app" in page.text and "Switch off" not in page.text
        fields = {"csrf": hidden(page, "csrf"), "do": "remove_second_factor", "code": "123456"}
        answer = await browser.post("/_gate/account", fields)
        assert answer.headers["location"].startswith("/_gate/2fa/setup")

    run(story)


async def _prove(browser: Browser) -> None:
    page = await browser.get("/_gate/login/2fa")
    await browser.post("/_gate/login/2fa", {"csrf": hidden(page, "csrf"), "code": "123456"})


def _welcoming(help_url: str = "") -> House:
    return House(policy=StepPolicy(welcome=True), slides=SLIDES, branding=Branding(help_url=help_url))


def test_the_slides_lead_to_the_help_pages_once() -> None:
    async def story() -> None:
        house = _welcoming("https://help.example.com/start")
        browser = Browser(house)
        assert (await browser.sign_in(next="/orders")).headers["location"] == "/_gate/welcome?next=/orders"
        first = await browser.get("/_gate/welcome?next=/orders")
        assert "One" in first.text and "Skip" in first.text and "Get started" not in first.text
        assert 'href="/_gate/welcome?next=/orders&amp;slide=2"' in first.text
        second = await browser.get("/_gate/welcome?next=/orders&slide=2")
        assert "welcome-2.svg" in second.text
        last = await browser.get("/_gate/welcome?next=/orders&slide=99")
        assert "Three" in last.text and "Get started" in last.text
        assert "form-action 'self' https://help.example.com;" in last.headers["content-security-policy"]
        fields = {"csrf": hidden(last, "csrf"), "next": "/orders", "started": "1"}
        answer = await browser.post("/_gate/welcome", fields)
        assert answer.headers["location"] == "https://help.example.com/start"
        assert (await browser.get("/_gate/welcome")).headers["location"] == "/"
        assert (await Browser(house).sign_in()).headers["location"] == "/"

    run(story)


def test_skipping_leads_to_the_application() -> None:
    async def story() -> None:
        for started, help_url in (("", "https://help.example.com/"), ("1", "mailto:it@example.com")):
            house = _welcoming(help_url)
            browser = Browser(house)
            await browser.sign_in(next="/orders")
            page = await browser.get("/_gate/welcome?next=/orders&slide=x")
            fields = {"csrf": hidden(page, "csrf"), "next": "/orders", "started": started}
            assert (await browser.post("/_gate/welcome", fields)).headers["location"] == "/orders"
            assert len(house.sign_in.completions) == 1

    run(story)
