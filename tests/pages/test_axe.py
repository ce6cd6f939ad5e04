"""axe-core, the size of targets and the width of pages: every page in every state, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.pages.scenes import SCENES, Scene, Stage
from tests.pages.screenshots import CHROMIUM, FLAGS, Look, Stand, look_at, served

pytestmark = pytest.mark.browser

_AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
_RUN = """async () => {
    const found = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return found.violations.map(one => [one.id, ...one.nodes.map(node => node.html)]);
}"""
_SMALL = """() => [...document.querySelectorAll(
    "button, input:not([type=hidden]), .btn, summary, a.big, footer a, label.check"
)].filter(element => {
    if (!element.checkVisibility() || element.matches(".vh, [inert] *")) return false;
    const target = element.type === "checkbox" ? element.closest("label") : element;
    const box = target.getBoundingClientRect();
    return box.height < 44 || box.width < 44;
}).map(element => element.outerHTML)"""
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_LOOKS = {
    "en": [Look("light"), Look("dark", dark=True), Look("narrow", width=320, height=640)],
    "ar": [Look("light"), Look("narrow", width=320, height=640)],
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=list(_LOOKS))
def stage(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Stage]:
    stand = Stand(request.param)
    with served(stand.make) as origin:
        page = chromium.new_page()
        yield Stage(page, origin, stand.house)
        page.close()


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_nothing_to_complain_about(scene: Scene, stage: Stage) -> None:
    page = stage.page
    look_at(page, Look("light"))
    scene.play(stage)
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    for look in _LOOKS[stage.house.locale.code]:
        look_at(page, look)
        assert _violations(page) == [], look.name
        assert page.evaluate(_SMALL) == [], f"{look.name}: targets below 44 px"
        assert page.evaluate(_OVERFLOW) <= 0, f"{look.name}: scrolls sideways"


def _violations(page: Page) -> Any:
    return page.evaluate(_RUN)
