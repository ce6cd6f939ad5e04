"""A browser with a profile on disk, which is there again when the browser is started again."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, Page, Playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM


class Profile:
    """One person's browser on one computer."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self._playwright = playwright
        self._folder = folder
        self._context: BrowserContext | None = None

    def open(self) -> Page:
        """Start the browser; its first tab."""
        assert self._context is None
        self._context = self._playwright.chromium.launch_persistent_context(
            self._folder, executable_path=CHROMIUM, args=ARGUMENTS
        )
        self._context.set_default_timeout(20_000)
        return self._context.pages[0]

    def close(self) -> None:
        """Close every tab and the browser with them."""
        if self._context is not None:
            self._context.close()
            self._context = None

    def reopen(self) -> Page:
        """Close the browser and start it again with the same profile."""
        self.close()
        return self.open()
