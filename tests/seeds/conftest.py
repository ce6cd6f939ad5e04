"""Debian's Chromium, profiles that outlive it, and the three installations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.seeds.place import CONFIG, Place, place
from tests.seeds.profile import Profile


@pytest.fixture(scope="package")
def application() -> Iterator[int]:
    """The port of the sample application."""
    with serving(make_sample()) as port:
        yield port


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser that was never here."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def profile(playwright: Playwright, tmp_path: Path) -> Iterator[Profile]:
    """A browser that can be closed and opened again."""
    made = Profile(playwright, tmp_path / "profile")
    yield made
    made.close()


@pytest.fixture
def integray(tmp_path: Path, application: int) -> Iterator[Place]:
    with place(CONFIG / "integray.yaml", tmp_path / "gate", application) as running:
        yield running


@pytest.fixture
def impai(tmp_path: Path, application: int) -> Iterator[Place]:
    with place(CONFIG / "impai.yaml", tmp_path / "gate", application) as running:
        yield running


@pytest.fixture
def backoffice(tmp_path: Path, application: int) -> Iterator[Place]:
    with place(CONFIG / "backoffice.yaml", tmp_path / "gate", application) as running:
        yield running
