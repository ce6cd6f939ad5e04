"""Chromium in front of a Gatekeeper whose clock, like the browser's, the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.script.browser import signed_in
from tests.script.person import Person, person


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def pat(chromium: Browser, tmp_path: Path) -> Iterator[Person]:
    """Signed in at the sample application, sessions as configured by default."""
    with signed_in(tmp_path) as sender, person(chromium, sender) as made:
        yield made


@pytest.fixture
def long_pat(chromium: Browser, tmp_path: Path) -> Iterator[Person]:
    """The same, with an idle timeout as long as the absolute one."""
    with (
        signed_in(tmp_path, session={"idle_timeout": "1h", "absolute_timeout": "1h"}) as sender,
        person(chromium, sender) as made,
    ):
        yield made
