"""A rule wants a fresher proof than the session has: the page for the code in the middle of a session."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pyotp

from tests.pages.support import Browser, House, hidden, run
from tests.pages.test_real_services import LOGIN, PASSWORD, Person, Place, tell

PAGE = "/_gate/login/2fa?next=/admin%3Fa%3D1&stepup=1"


async def send_code(browser: Browser, code: str) -> httpx.Response:
    page = await browser.get(PAGE)
    known = {name: hidden(page, name) for name in ("csrf", "next", "stepup")}
    return await browser.post("/_gate/login/2fa", {**known, "code": code})


def signed_in(*, second_factor: bool) -> tuple[House, Browser]:
    house = House()  # two-factor is off for signing in, so the password alone makes a complete session
    house.accounts.change(second_factor=second_factor)
    return house, Browser(house)


def test_a_right_code_is_noted_under_a_new_id_and_leads_on() -> None:
    async def story() -> None:
        house, browser = signed_in(second_factor=True)
        await browser.sign_in()
        page = await browser.get(PAGE)
        assert page.status_code == 200
        assert "needs a code as well" in page.text and "stepup=1&amp;recovery=1" in page.text
        answer = await send_code(browser, "123456")
        assert answer.headers["location"] == "/admin?a=1"
        ((value, session),) = house.sessions.live.items()
        assert value == "session-2"
        assert session.record.second_factor_at == house.clock()

    run(story)


def test_a_complete_session_is_asked_only_for_a_step_up() -> None:
    async def story() -> None:
        _, browser = signed_in(second_factor=True)
        await browser.sign_in()
        answer = await browser.get(PAGE.replace("&stepup=1", ""))
        assert answer.headers["location"] == "/admin?a=1"

    run(story)


def test_trusting_the_browser_is_no_part_of_it() -> None:
    async def story() -> None:
        house, browser = signed_in(second_factor=True)
        house.second_factors.trust_for = 86_400.0
        await browser.sign_in()
        page = await browser.get(PAGE)
        assert 'name="trust"' not in page.text
        known = {name: hidden(page, name) for name in ("csrf", "next", "stepup")}
        await browser.post("/_gate/login/2fa", {**known, "code": "123456", "trust": "1"})
        assert not house.second_factors.trusted_devices

    run(story)


def test_guessing_at_an_open_screen_ends_the_session() -> None:
    async def story() -> None:
        house, browser = signed_in(second_factor=True)
        await browser.sign_in()
        for _ in range(4):
            assert (await send_code(browser, "000000")).status_code == 403
        answer = await send_code(browser, "000000")
        assert answer.headers["location"].endswith("ended=locked")
        assert house.sessions.live == {}

    run(story)


def test_who_has_none_sets_one_up_and_who_is_nobody_signs_in() -> None:
    async def story() -> None:
        _, browser = signed_in(second_factor=False)
        assert (await browser.get(PAGE)).headers["location"].startswith("/_gate/login?next=")
        await browser.sign_in()
        assert (await browser.get(PAGE)).headers["location"] == "/_gate/2fa/setup?next=/admin%3Fa%3D1"

    run(story)


def test_a_rule_asks_for_a_code_then_lets_in_then_asks_again(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        await place.pat()
        await person.send("/_gate/login", login=LOGIN, password=PASSWORD, next="/orders")
        assert (await person.get("/orders")).status_code == 200
        setup = (await person.get("/admin?a=1")).headers["location"]
        assert setup == "/_gate/2fa/setup?next=/admin%3Fa%3D1"
        page = await person.send(setup, password=PASSWORD, next="/admin?a=1")
        key = re.findall(r'<code id="account-token"[^>]*>([A-Z2-7 ]+)<', page.text)[0].replace(" ", "")
        code = pyotp.TOTP(key)
        codes = await person.send(
            setup, code=code.at(int(place.clock.now)), proof=hidden(page, "proof"), next="/admin?a=1"
        )
        assert (await person.send_saved(codes)).headers["location"] == "/admin?a=1"
        assert (await person.get("/admin?a=1")).text == f"application for {LOGIN}"

        place.clock.now += 600
        assert (await person.get("/orders")).status_code == 200
        asked = (await person.get("/admin?a=1")).headers["location"]
        assert asked == PAGE
        script = await person.http.get("/admin?a=1", headers={"sec-fetch-mode": "cors"})
        assert (script.status_code, script.json()["error"]) == (401, "second_factor_required")
        assert script.json()["sign_in"] == "/_gate/login/2fa?stepup=1"
        answer = await person.send(asked, code=code.at(int(place.clock.now)), next="/admin?a=1", stepup="1")
        assert answer.headers["location"] == "/admin?a=1"
        assert (await person.get("/admin?a=1")).status_code == 200

    rules = [{"path": "/admin/**", "allow": {"two_factor": "10m"}}]
    tell(tmp_path, story, rules=rules)
