"""What people do in the pages, in the words that they see there."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage

from playwright.sync_api import Page, Request, expect

from tests.seeds.mailbox import text_of
from tests.seeds.place import Place

PASSWORD = "paper boats in the rain 47"
OTHER = "green lanterns over the harbour 12"
INVALID = "Invalid user login or password"
_LOGIN_PAGE = re.compile(r"/_gate/login([?#]|$)")


def button(page: Page, name: str) -> None:
    """Click the button with exactly this name."""
    page.get_by_role("button", name=name, exact=True).click()


def fill_in(page: Page, login: str, password: str) -> None:
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill(password)


def send_sign_in(page: Page) -> None:
    page.locator("form[action$='/login'] button:not([type=button])").click()


def sign_in(page: Page, place: Place, login: str, password: str = PASSWORD, path: str = "/") -> None:
    """Ask for a page of the application, and sign in on the page that comes instead."""
    page.goto(place.address + path)
    expect_sign_in(page)
    fill_in(page, login, password)
    send_sign_in(page)


def expect_sign_in(page: Page) -> None:
    page.wait_for_url(_LOGIN_PAGE)
    expect(page.locator("input[name=login]")).to_be_visible()


def expect_application(page: Page, who: str) -> None:
    """The application's start page, which greets `who`."""
    expect(page.get_by_text(f"Good day, {who}.")).to_be_visible()


def expect_refused(page: Page) -> None:
    expect(page.get_by_role("alert")).to_contain_text(INVALID)


def set_new_password(page: Page, password: str, send: str = "Set new password") -> None:
    """Fill in both fields, and click the button named `send`."""
    page.get_by_label("New password", exact=True).fill(password)
    page.get_by_label("Confirm password", exact=True).fill(password)
    button(page, send)


def click_in_mail(page: Page, mail: EmailMessage, name: str) -> None:
    """Open the mail as a mail program would show it, and click its button."""
    page.goto("about:blank")
    page.set_content(text_of(mail, "html"))
    page.get_by_role("link", name=name).click()


def soon(true: Callable[[], bool]) -> None:
    """Wait for what happens behind an answer."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def documents(page: Page) -> Iterator[list[str]]:
    """The addresses of all pages that are asked for during the block."""
    seen: list[str] = []

    def note(request: Request) -> None:
        if request.is_navigation_request():
            seen.append(request.url)

    page.on("request", note)
    yield seen
    page.remove_listener("request", note)
