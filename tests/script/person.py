"""What a person does in the application's pages, and what time does meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from gatekeeper.core.session import EndReason
from tests.script.browser import Browser as Sender
from tests.stack.whole import PASSWORD

expect.set_options(timeout=20_000)


class Person:
    """A browser context that holds Pat's session."""

    def __init__(self, context: BrowserContext, sender: Sender) -> None:
        self.context = context
        self.sender = sender
        self.address = f"http://{sender.gate.host}"

    def open(self, path: str = "/orders/new") -> Page:
        """A new tab, once the script is at work in it."""
        page = self.context.new_page()
        page.goto(self.address + path)
        expect(menu_of(page)).to_be_visible()
        return page

    def later(self, seconds: float) -> None:
        """Time passes, here and there; the tabs are heard of in between, as they would be."""
        while seconds > 0:
            step = min(seconds, 1_500)
            self.sender.clock.forward(step)
            self.context.clock.fast_forward(round(step * 1_000))
            seconds -= step
            if seconds:
                self.context.pages[0].wait_for_timeout(1_000)

    def asleep(self, seconds: float) -> None:
        """Time passes for the server and on the wall, but not for the machine's own counter."""
        self.sender.clock.forward(seconds)

    def end(self, reason: EndReason) -> None:
        async def end(services: Any) -> None:
            await services.sessions.end_user(self.sender.user_id, reason)

        self.sender.gate.call(end)

    def alive(self) -> bool:
        async def count(services: Any) -> int:
            return len(await services.sessions.list(self.sender.user_id))

        return self.sender.gate.call(count) > 0

    def seen(self) -> float:
        async def seen(services: Any) -> float:
            return float((await services.sessions.list(self.sender.user_id))[0].last_seen_at)

        return self.sender.gate.call(seen)

    def sign_in_again(self, page: Page) -> None:
        """In the window that the dialog opens; it closes itself."""
        with self.context.expect_page() as opened:
            page.get_by_role("button", name="Sign in again").click()
        window = opened.value
        window.locator("input[name=login]").fill("pat")
        window.locator("input[name=password]").fill(PASSWORD)
        with window.expect_event("close"):
            window.get_by_role("button", name="Sign in", exact=True).click()


def menu_of(page: Page, name: str = "Pat") -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def dialog_of(page: Page, title: str) -> Locator:
    return page.get_by_role("alertdialog", name=title)


@contextlib.contextmanager
def person(chromium: Browser, sender: Sender, *, clock: bool = True, **options: Any) -> Iterator[Person]:
    context = chromium.new_context(viewport={"width": 1000, "height": 640}, **options)
    context.set_default_timeout(30_000)
    if clock:
        context.clock.install()
    name, _, value = sender.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": f"http://{sender.gate.host}"}])
    try:
        yield Person(context, sender)
    finally:
        context.close()
