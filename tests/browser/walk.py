"""What a person does at the gate, step by step, whatever application is behind it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.browser.apps import Application
from tests.browser.gate import RunningGate

LOGIN = "ann"
NAME = "Ann Example"
PASSWORD = "paper boats in the rain 47"

_LOGIN_PAGE = re.compile(r"/_gate/login([?#]|$)")


def become_administrator(page: Page, gate: RunningGate) -> None:
    """Follow the one-time link, make the account, and be signed in at the application."""
    link = gate.administrator_link
    page.goto(link)
    form = page.locator("form[action='/_gate/setup']")
    expect(form).to_be_visible()
    code = page.locator("input[name=token]")
    if code.is_visible():  # without JavaScript nobody moves it out of the address
        code.fill(urlsplit(link).fragment)
    form.locator("input[name=login]").fill(LOGIN)
    form.locator("input[name=name]").fill(NAME)
    form.locator("input[name=password]").fill(PASSWORD)
    form.locator("button:not([type=button])").click()
    page.wait_for_url(re.compile(r"^(?!.*/_gate/)"))


def sign_in(page: Page, password: str = PASSWORD) -> None:
    """Fill in the sign-in page that is shown, and send it."""
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("User login").fill(LOGIN)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page, gate: RunningGate) -> None:
    """Through the question, as a link to it would lead."""
    page.goto(f"{gate.address}/_gate/logout")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()


def expect_sign_in(page: Page) -> None:
    page.wait_for_url(_LOGIN_PAGE)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def walk(page: Page, gate: RunningGate, application: Application, folder: Path) -> None:
    """The whole way: link, work, idle out, come back to the same page, sign out."""
    place = f"{gate.address}{application.place}"
    without_fragment = place.partition("#")[0]

    page.goto(place)
    expect_sign_in(page)
    become_administrator(page, gate)
    application.use(page, gate.address, folder)

    page.goto(place)
    application.here(page)
    gate.clock.forward(gate.idle_timeout + 1)
    page.reload()
    expect_sign_in(page)
    expect(page.get_by_text("Your session has ended because you were inactive")).to_be_visible()
    sign_in(page, "not the password")
    expect(page.get_by_text("Invalid user login or password")).to_be_visible()
    sign_in(page)
    page.wait_for_url(lambda url: url.partition("#")[0] == without_fragment)
    assert page.url == place
    application.here(page)

    sign_out(page, gate)
    page.goto(place)
    expect_sign_in(page)
