"""The main job in a real browser: an application behind a sign-in, from the first link to sign-out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.apps import ALL, Application
from tests.browser.gate import running_gate
from tests.browser.walk import walk

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("application", ALL, ids=lambda application: application.name)
def test_a_person_signs_in_works_idles_out_comes_back_and_signs_out(
    page: Page, application: Application, tmp_path: Path
) -> None:
    with application.serve(tmp_path) as port, running_gate(tmp_path / "gate", port) as gate:
        walk(page, gate, application, tmp_path)
