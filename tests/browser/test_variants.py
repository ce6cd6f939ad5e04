"""The same way on a phone, without JavaScript, by keyboard; and what nobody sees without a sign-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser.apps import use_sample_forms
from tests.browser.gate import RunningGate
from tests.browser.walk import LOGIN, PASSWORD, become_administrator, expect_sign_in, sign_in, sign_out

pytestmark = pytest.mark.browser


def test_without_javascript(browser: Browser, sample_gate: RunningGate, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        become_administrator(page, sample_gate)
        use_sample_forms(page, sample_gate.address, tmp_path)
        page.goto(f"{sample_gate.address}/orders?q=lamp")
        sample_gate.clock.forward(sample_gate.idle_timeout + 1)
        page.reload()
        expect(page.get_by_text("Your session has ended because you were inactive")).to_be_visible()
        sign_in(page)
        page.wait_for_url(f"{sample_gate.address}/orders?q=lamp")
        sign_out(page, sample_gate)
    finally:
        context.close()


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, sample_gate: RunningGate) -> None:
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True, device_scale_factor=2
    )
    try:
        page = context.new_page()
        page.goto(f"{sample_gate.address}/orders")
        expect_sign_in(page)
        _expect_to_fit(page)
        become_administrator(page, sample_gate)
        page.goto(f"{sample_gate.address}/_gate/logout")
        _expect_to_fit(page)
        page.get_by_role("button", name="Sign out", exact=True).tap()
        expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
        _expect_to_fit(page)
    finally:
        context.close()


def _expect_to_fit(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_with_the_keyboard_alone(page: Page, sample_gate: RunningGate) -> None:
    become_administrator(page, sample_gate)
    sign_out(page, sample_gate)
    page.goto(f"{sample_gate.address}/payments")
    expect(page.get_by_label("User login")).to_be_focused()
    page.keyboard.type(LOGIN)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Payments")).to_be_visible()


def test_back_after_sign_out_shows_no_private_page(page: Page, sample_gate: RunningGate) -> None:
    become_administrator(page, sample_gate)
    page.goto(f"{sample_gate.address}/payments")
    expect(page.get_by_role("heading", name="Payments")).to_be_visible()
    sign_out(page, sample_gate)
    page.go_back()  # the question
    page.go_back()  # the payments, were they still there
    expect_sign_in(page)


def test_the_administrator_link_works_once(page: Page, sample_gate: RunningGate) -> None:
    become_administrator(page, sample_gate)
    sign_out(page, sample_gate)
    page.goto(sample_gate.administrator_link)
    expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    expect(page.locator("form[action='/_gate/setup']")).to_have_count(0)
    page.goto(f"{sample_gate.address}/")
    expect_sign_in(page)


def test_two_tabs_sign_in_at_once(page: Page, sample_gate: RunningGate) -> None:
    become_administrator(page, sample_gate)
    sign_out(page, sample_gate)
    other = page.context.new_page()
    page.goto(f"{sample_gate.address}/orders?q=lamp#a")
    other.goto(f"{sample_gate.address}/payments#b")
    sign_in(page)
    page.wait_for_url(f"{sample_gate.address}/orders?q=lamp#a")
    sign_in(other)
    other.wait_for_url(f"{sample_gate.address}/payments#b")


def test_signing_out_closes_the_live_board(page: Page, sample_gate: RunningGate) -> None:
    become_administrator(page, sample_gate)
    page.goto(f"{sample_gate.address}/live")
    expect(page.locator("#state")).to_have_text("connected")
    other = page.context.new_page()
    sign_out(other, sample_gate)
    expect(page.locator("#state")).to_contain_text("closed", timeout=8_000)


def test_the_console_stays_silent(page: Page, sample_gate: RunningGate) -> None:
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # Browsers ask every site for an icon when they please; the sample application has none.
        wanted = not message.location["url"].endswith("/favicon.ico")
        if wanted and message.type in ("error", "warning"):
            said.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{sample_gate.address}/")
    expect_sign_in(page)
    become_administrator(page, sample_gate)
    sign_out(page, sample_gate)
    assert said == []
