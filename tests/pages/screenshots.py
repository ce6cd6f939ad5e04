"""Pictures of every page in Debian's Chromium: `python -m tests.pages.screenshots FOLDER`.

Light, dark, 320 px wide, right-to-left, forced colours, text at 200 %; complains about console messages and
sideways scrolling.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from gatekeeper.core.context import Refusal
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.services import Branding
from tests.pages.support import ADA, GOOD_PASSWORD, House

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def served(make: Callable[[str], ASGIApp]) -> Iterator[str]:
    """Serve `make(origin)` on a free loopback port; the origin."""
    config = uvicorn.Config(_later, port=0, log_level="error", lifespan="off", proxy_headers=False)
    socket = config.bind_socket()
    socket.listen()  # connections wait here until the server takes them
    origin = f"http://127.0.0.1:{socket.getsockname()[1]}"
    config.app = make(origin)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.should_exit = True
        thread.join(10)
        socket.close()


async def _later(scope: object, receive: object, send: object) -> None:
    raise AssertionError("replaced before serving")


def house(origin: str, *, locale: str = "en") -> House:
    """Pages on plain loopback http, with refusals to look at."""
    return House(
        cookies=CookieNames.make("gatekeeper", secure=False),
        origins=(origin,),
        locale=Locale(locale),
        branding=Branding(product_name="Back office", help_url="mailto:it@example.com"),
        refusals={
            "/forbidden": Refusal(403, "forbidden"),
            "/down": Refusal(502, "upstream_unreachable"),
            "/slow": Refusal(504, "upstream_timeout"),
            "/broken": Refusal(500, "internal_error"),
        },
    )


class Look(NamedTuple):
    """One way of looking at the pages."""

    name: str
    width: int = 1280
    height: int = 760
    dark: bool = False
    forced: bool = False
    locale: str = "en"
    zoom: int = 100


LOOKS = [
    Look("light"),
    Look("dark", dark=True),
    Look("narrow", width=320, height=640),
    Look("rtl", locale="ar"),
    Look("forced", forced=True),
    Look("large-text", width=320, height=640, zoom=200),
]


def _new_context(browser: Browser, look: Look) -> BrowserContext:
    return browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if look.dark else "light",
        forced_colors="active" if look.forced else "none",
    )


def _shoot(page: Page, look: Look, folder: Path, name: str, complaints: list[str]) -> None:
    if look.zoom != 100:
        # The policy forbids inline styles, also ours: the text size is set through the object model.
        page.evaluate("z => { document.documentElement.style.fontSize = z + '%' }", look.zoom)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        complaints.append(f"{look.name}/{name}: scrolls sideways by {overflow} px")
    page.screenshot(path=str(folder / f"{name}-{look.name}.png"), full_page=True)


def _walk(page: Page, look: Look, origin: str, folder: Path, complaints: list[str]) -> None:
    def shoot(name: str) -> None:
        _shoot(page, look, folder, name, complaints)

    page.goto(f"{origin}/_gate/login?next=/orders")
    shoot("login")
    page.goto(f"{origin}/_gate/login?ended=idle")
    shoot("login-ended")
    page.fill("#login", ADA.login)
    page.fill("#password", "not the password")
    page.click("button.p")
    shoot("login-error")
    page.goto(f"{origin}/_gate/setup#a-token")
    shoot("setup")
    page.fill("#login", "ada@example.com")
    page.fill("#password", "x")
    page.click("button.p")
    shoot("setup-error")
    page.goto(f"{origin}/_gate/login?next=/orders")
    page.context.clear_cookies()
    page.fill("#login", ADA.login)
    page.fill("#password", GOOD_PASSWORD)
    page.click("button.p")
    shoot("login-no-cookie")
    page.goto(f"{origin}/_gate/login?next=/forbidden")
    page.fill("#login", ADA.login)
    page.fill("#password", GOOD_PASSWORD)
    page.click("[data-reveal]")
    shoot("login-shown")
    page.click("button.p")
    shoot("forbidden")
    for name in ("down", "slow", "broken", "_gate/nothing", "_gate/logout"):
        page.goto(f"{origin}/{name}")
        shoot(name.removeprefix("_gate/"))
    for _ in range(4):
        page.goto(f"{origin}/_gate/login?next=/down")
    shoot("loop")
    page.goto(f"{origin}/_gate/logout")
    page.click("button.p")
    shoot("signed-out")


def shoot_all(folder: Path) -> list[str]:
    """Take the pictures; what is wrong with them, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for look in LOOKS:
            with served(lambda origin, look=look: house(origin, locale=look.locale)) as origin:  # type: ignore[misc]
                context = _new_context(browser, look)
                page = context.new_page()
                _listen(page, look, complaints)
                _walk(page, look, origin, folder, complaints)
                context.close()
        browser.close()
    return complaints


def _listen(page: Page, look: Look, complaints: list[str]) -> None:
    def heard(message: ConsoleMessage) -> None:
        # Chromium notes every 4xx and 5xx page, and every cache that it cleared.
        if not re.search(r"responded with a status of|Clear-Site-Data", message.text):
            complaints.append(f"{look.name}: console: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{look.name}: script: {error}"))


if __name__ == "__main__":
    found = shoot_all(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
    print("\n".join(found) or "nothing to complain about")
    sys.exit(bool(found))
