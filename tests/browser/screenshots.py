"""Takes the README's pictures from the running program: `.venv/bin/python -m tests.browser.screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.gate import running_gate
from tests.browser.walk import become_administrator, sign_out

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    branding = {"product_name": "Acme Back Office"}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(make_sample()) as port,
        running_gate(Path(folder) / "gate", port, branding=branding) as gate,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as chromium,
    ):
        page = chromium.new_page(viewport={"width": 880, "height": 560}, color_scheme="light")
        become_administrator(page, gate)
        page.goto(f"{gate.address}/")
        page.screenshot(path=DOCS / "application.png")
        sign_out(page, gate)
        page.goto(f"{gate.address}/orders")
        page.screenshot(path=DOCS / "sign-in.png")


if __name__ == "__main__":
    main()
