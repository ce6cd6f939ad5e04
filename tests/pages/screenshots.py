"""Pictures of every page in Debian's Chromium: `python -m tests.pages.screenshots FOLDER [SCENE…]`.

Light, dark, 320 px wide, right-to-left, forced colours, text at 200 %; complains about console messages and
sideways scrolling.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from gatekeeper.core.protocols import ASGIApp
from tests.pages.scenes import SCENES, Stage, house
from tests.pages.support import House

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


class Stand:
    """Keeps the house that is being served."""

    def __init__(self, locale: str) -> None:
        self._locale = locale
        self.house: House

    def make(self, origin: str) -> House:
        self.house = house(origin, locale=self._locale)
        return self.house


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


def look_at(page: Page, look: Look) -> None:
    """Change how the page that is there is looked at."""
    page.set_viewport_size({"width": look.width, "height": look.height})
    page.emulate_media(
        color_scheme="dark" if look.dark else "light",
        forced_colors="active" if look.forced else "none",
        reduced_motion="reduce",  # half-way between two looks no contrast is right
    )
    # The policy forbids inline styles, also ours: the text size is set through the object model.
    page.evaluate("z => { document.documentElement.style.fontSize = z + '%' }", look.zoom)


def _shoot(page: Page, look: Look, folder: Path, name: str, complaints: list[str]) -> None:
    look_at(page, look)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        complaints.append(f"{look.name}/{name}: scrolls sideways by {overflow} px")
    page.screenshot(path=str(folder / f"{name}-{look.name}.png"), full_page=True)


def shoot_all(folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Take the pictures, of all scenes or of those named; what is wrong with them, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for locale in sorted({look.locale for look in LOOKS}):
            stand = Stand(locale)
            with served(stand.make) as origin:
                page = browser.new_page()
                _listen(page, locale, complaints)
                for scene in SCENES:
                    if names and scene.name not in names:
                        continue
                    scene.play(Stage(page, origin, stand.house))
                    for look in LOOKS:
                        if look.locale == locale:
                            _shoot(page, look, folder, scene.name, complaints)
                page.close()
        browser.close()
    return complaints


def _listen(page: Page, where: str, complaints: list[str]) -> None:
    def heard(message: ConsoleMessage) -> None:
        # Chromium notes every 4xx and 5xx page, and every cache that it cleared.
        if not re.search(r"responded with a status of|Clear-Site-Data", message.text):
            complaints.append(f"{where}: {page.url}: console: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{where}: {page.url}: script: {error}"))


if __name__ == "__main__":
    found = shoot_all(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"), sys.argv[2:])
    print("\n".join(found) or "nothing to complain about")
    sys.exit(bool(found))
