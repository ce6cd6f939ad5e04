"""What only a browser can show: the script, and that everything works without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.pages.scenes import house
from tests.pages.screenshots import CHROMIUM, FLAGS, served
from tests.pages.support import ADA, GOOD_PASSWORD, House

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Site:
    """The pages on a loopback port."""

    def __init__(self) -> None:
        self.house: House | None = None
        self.origin = ""

    def make(self, origin: str) -> House:
        self.origin = origin
        self.house = house(origin)
        return self.house


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    with served(made.make):
        yield made


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def either(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=request.param)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def _fill(page: Page) -> None:
    page.fill("#login", ADA.login)
    page.fill("#password", GOOD_PASSWORD)


def test_signing_in_and_out_with_and_without_the_script(either: Page, site: Site) -> None:
    either.goto(f"{site.origin}/_gate/login?next=/forbidden")
    either.fill("#login", ADA.login)
    either.fill("#password", "wrong")
    either.click("button.p")
    expect(either.get_by_text("Invalid user login or password")).to_be_visible()
    expect(either.locator("#login")).to_have_value(ADA.login)
    expect(either.locator("#password")).to_have_value("")
    either.fill("#password", GOOD_PASSWORD)
    either.press("#password", "Enter")
    expect(either.get_by_text("You are signed in as Ada")).to_be_visible()
    either.goto(f"{site.origin}/_gate/logout")
    either.click("button.p")
    expect(either.get_by_role("heading", name="You have signed out")).to_be_visible()
    either.get_by_role("link", name="Sign in again").click()
    expect(either.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_one_time_code_never_travels_in_an_address(either: Page, site: Site) -> None:
    seen: list[Request] = []
    either.on("request", lambda request: seen.append(request))
    either.goto(f"{site.origin}/_gate/setup#the-token")
    code = either.locator("#token")
    if code.is_visible():
        code.fill("the-token")
    expect(code).to_have_value("the-token")
    either.fill("#login", "root@example.com")
    either.fill("#password", GOOD_PASSWORD)
    either.click("button.p")
    either.wait_for_url(f"{site.origin}/")
    assert site.house is not None and len(site.house.link.redeemed) == 1
    for request in seen:
        sent = request.all_headers()
        assert "the-token" not in request.url.split("#")[0]
        assert "the-token" not in sent.get("referer", "")


def test_the_fragment_comes_back_after_signing_in(page: Page, site: Site) -> None:
    page.goto(f"{site.origin}/_gate/login?next=/orders#row5")
    _fill(page)
    page.click("button.p")
    page.wait_for_url(f"{site.origin}/orders#row5")


def test_three_quick_clicks_send_one_form(page: Page, site: Site) -> None:
    assert site.house is not None
    site.house.sign_in.hold = threading.Event()
    page.goto(f"{site.origin}/_gate/login?next=/forbidden")
    _fill(page)
    button = page.locator("button.p")
    said = button.evaluate(
        """async button => {
            for (let i = 0; i < 3; i++) {
                button.click();
                await new Promise(resolve => setTimeout(resolve, 100));
            }
            return [button.textContent, button.getAttribute("aria-busy"), button.disabled];
        }"""
    )
    site.house.sign_in.hold.set()
    assert said == ["Signing in…", "true", False]
    page.wait_for_url(f"{site.origin}/forbidden")
    assert len(site.house.sign_in.asked) == 1


def test_the_password_is_shown_on_request_and_hidden_when_sent(page: Page, site: Site) -> None:
    assert site.house is not None
    page.goto(f"{site.origin}/_gate/login")
    _fill(page)
    page.get_by_role("button", name="Show password").click()
    expect(page.locator("#password")).to_have_attribute("type", "text")
    expect(page.get_by_text("Your password is visible")).to_be_attached()
    site.house.sign_in.hold = threading.Event()
    button = page.get_by_role("button", name="Sign in", exact=True)
    kind = button.evaluate("button => { button.click(); return document.getElementById('password').type; }")
    site.house.sign_in.hold.set()
    assert kind == "password"


def test_going_back_after_signing_out_shows_nothing_private(page: Page, site: Site) -> None:
    page.goto(f"{site.origin}/_gate/login?next=/forbidden")
    _fill(page)
    page.click("button.p")
    expect(page.get_by_text("You are signed in as Ada")).to_be_visible()
    page.goto(f"{site.origin}/_gate/logout")
    page.click("button.p")
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    for _ in range(2):
        page.go_back()
        expect(page.get_by_role("heading")).to_be_visible()
        expect(page.get_by_text("You are signed in as Ada")).to_have_count(0)


def test_a_page_out_of_the_back_forward_cache_is_asked_for_anew(page: Page, site: Site) -> None:
    """Headless Chromium does not keep these pages itself, so the event is made by hand."""
    page.goto(f"{site.origin}/_gate/signed-out")
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")


def test_the_keyboard_alone_is_enough(page: Page, site: Site) -> None:
    page.goto(f"{site.origin}/_gate/login?next=/forbidden")
    expect(page.locator("#login")).to_be_focused()
    page.keyboard.type(ADA.login)
    page.keyboard.press("Tab")
    page.keyboard.type(GOOD_PASSWORD)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show password")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.origin}/forbidden")


def test_an_error_takes_the_focus_and_targets_are_large(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{site.origin}/_gate/login")
    page.fill("#login", "nobody@example.com")
    page.fill("#password", "wrong")
    page.click("button.p")
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.title().startswith("Error: ")
    heights = page.eval_on_selector_all(
        "button, input:not([type=hidden], [type=checkbox]), footer a",
        "all => all.map(e => e.getBoundingClientRect().height)",
    )
    assert len(heights) == 5 and min(heights) >= 44


NEW = "one password of mine"


def test_every_step_of_a_first_sign_in_with_and_without_the_script(either: Page, site: Site) -> None:
    assert site.house is not None
    site.house.accounts.change(two_factor="mandatory", must_change="reset", welcomed=False)
    either.goto(f"{site.origin}/_gate/login?next=/forbidden")
    _fill(either)
    either.click("button.p")
    expect(either.get_by_text("An administrator has reset the password of")).to_be_visible()
    either.reload()
    either.fill("#new_password", NEW)
    either.fill("#confirm_password", NEW)
    either.get_by_role("button", name="Set new password").click()
    expect(either.get_by_text("2FA account token", exact=True)).to_be_visible()
    either.fill("#code", "123 456")
    either.get_by_role("button", name="Update").click()
    expect(either.locator(".codes li")).to_have_count(10)
    before = either.viewport_size
    for width, lines in ((1000, 1), (400, 1), (320, 2)):
        either.set_viewport_size({"width": width, "height": 800})
        boxes = [each.bounding_box() for each in either.locator(".codes code").all()]
        assert [round(box["height"] / 24) for box in boxes if box] == [lines] * 10
    assert before is not None
    either.set_viewport_size(before)
    either.check("input[name=saved]")
    either.get_by_role("button", name="Continue").click()
    either.get_by_role("link", name="Next").click()
    either.get_by_role("button", name="Get started").click()
    expect(either.get_by_text("You are signed in as Ada")).to_be_visible()


def test_a_forgotten_password_with_and_without_the_script(either: Page, site: Site) -> None:
    seen: list[Request] = []
    either.goto(f"{site.origin}/_gate/login")
    either.get_by_role("link", name="Forgot password?").click()
    either.fill("#login", ADA.login)
    either.get_by_role("button", name="Send recovery e-mail").click()
    expect(either.get_by_text("is on its way")).to_be_visible()
    either.on("request", lambda request: seen.append(request))
    either.goto(f"{site.origin}/_gate/reset?token=mailed-token")
    either.fill("#new_password", NEW)
    either.fill("#confirm_password", NEW)
    either.get_by_role("button", name="Reset password").click()
    expect(either.get_by_role("heading", name="Password changed successfully")).to_be_visible()
    either.get_by_role("link", name="Back to Log in").click()
    either.fill("#login", ADA.login)
    either.fill("#password", NEW)
    either.click("button.p")
    either.wait_for_url(f"{site.origin}/")
    assert seen
    for request in seen:
        assert "mailed-token" not in request.all_headers().get("referer", "")


def test_recovery_is_a_window_over_the_sign_in_page(page: Page, site: Site) -> None:
    page.goto(f"{site.origin}/_gate/login")
    page.get_by_role("link", name="Forgot password?").click()
    dialog = page.get_by_role("dialog", name="Password recovery")
    assert dialog.evaluate("dialog => dialog.matches(':modal')")
    expect(page.locator(".behind")).to_be_visible()
    expect(page.locator("#login")).to_be_focused()
    page.keyboard.press("Escape")
    page.wait_for_url(f"{site.origin}/_gate/login")


def test_a_check_box_shows_the_password_where_the_operator_wants_one(page: Page) -> None:
    with served(lambda origin: house(origin, show_password="checkbox")) as origin:
        page.goto(f"{origin}/_gate/login")
        page.fill("#password", GOOD_PASSWORD)
        box = page.get_by_label("Show password")
        box.check()
        expect(page.locator("#password")).to_have_attribute("type", "text")
        box.uncheck()
        expect(page.locator("#password")).to_have_attribute("type", "password")
        box.check()
        _fill(page)
        page.evaluate("document.forms[0].addEventListener('submit', event => event.preventDefault())")
        page.click("button.p")
        expect(page.locator("#password")).to_have_attribute("type", "password")
        expect(box).not_to_be_checked()


def test_keys_and_codes_are_copied_as_they_are_shown(chromium: Browser, site: Site) -> None:
    assert site.house is not None
    site.house.accounts.change(two_factor="mandatory")
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{site.origin}/_gate/login")
    _fill(page)
    page.click("button.p")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()") == "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"
    page.fill("#code", "123456")
    page.get_by_role("button", name="Update").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_attached()
    assert page.evaluate("navigator.clipboard.readText()").splitlines()[0] == "rc00-wxyz-k7mq-x2fp-9rtw-hv4c"
    context.close()
