"""The session script in the sample application's pages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from gatekeeper.audit.events import Source
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.session import EndReason
from gatekeeper.demo.serving import serving
from tests.script.browser import cookie_of, signed_in
from tests.script.person import Person, dialog_of, menu_of, person
from tests.stack.whole import PASSWORD

pytestmark = pytest.mark.browser

IDLE = "You are about to be signed out"
OVER = "You are signed out"
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
RUN_AXE = """async () => {
    const found = await axe.run({ include: ["gatekeeper-session"] }, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return found.violations.map(one => [one.id, ...one.nodes.map(node => node.html)]);
}"""


def write(page: Page, text: str = "Tea & Co") -> None:
    page.locator("input[name=customer]").fill(text)


def expect_written(page: Page, text: str = "Tea & Co") -> None:
    expect(page.locator("input[name=customer]")).to_have_value(text)


def test_the_menu_leads_to_the_account_and_out(pat: Person) -> None:
    page, other = pat.open(), pat.open("/orders")
    write(other_form := pat.open())
    menu_of(page).click()
    expect(page.get_by_role("menuitem", name="Account")).to_have_attribute("href", "/_gate/account")
    page.get_by_role("menuitem", name="Logout").click()
    page.wait_for_url("**/_gate/signed-out")
    assert not pat.alive()
    for tab in (other, other_form):
        expect(dialog_of(tab, OVER)).to_contain_text("You signed out in another tab.")
    expect_written(other_form)


def test_the_menu_by_keyboard(pat: Person) -> None:
    page = pat.open()
    menu_of(page).focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Account")).to_be_focused()
    for key, item in (
        ("ArrowDown", "Logout"),
        ("ArrowDown", "Account"),
        ("ArrowUp", "Logout"),
        ("Home", "Account"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("menuitem", name=item)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(menu_of(page)).to_be_focused()
    expect(menu_of(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menu")).to_be_visible()
    page.mouse.click(400, 500)
    expect(page.get_by_role("menu")).to_be_hidden()


def test_one_tab_stays_for_all(pat: Person) -> None:
    page, other = pat.open(), pat.open("/orders")
    write(page)
    page.locator("input[name=customer]").focus()
    pat.later(5)
    page.wait_for_timeout(1_500)
    pat.later(785)
    for tab in (page, other):
        expect(dialog_of(tab, IDLE)).to_contain_text(re.compile(r"signed out in 1:[0-5]\d"))
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    page.keyboard.press("Escape")
    for tab in (page, other):
        expect(dialog_of(tab, IDLE)).to_have_count(0)
    expect(page.locator("input[name=customer]")).to_be_focused()
    expect_written(page)
    pat.later(600)
    assert pat.alive()


def test_a_wrong_clock_changes_nothing(chromium: Browser, tmp_path: Path) -> None:
    with signed_in(tmp_path) as sender, person(chromium, sender, clock=False) as pat:
        pat.context.clock.install(time=1_000_000_000)
        page = pat.open()
        pat.later(700)
        page.wait_for_timeout(2_500)
        expect(dialog_of(page, IDLE)).to_have_count(0)
        pat.later(95)
        expect(dialog_of(page, IDLE)).to_contain_text(re.compile(r"1:[34]\d"))
        pat.context.clock.set_system_time(1_700_000_000_000)
        page.wait_for_timeout(2_500)
        expect(dialog_of(page, IDLE)).to_contain_text(re.compile(r"1:[1234]\d"))


def test_after_sleep_the_server_is_asked_at_once(pat: Person) -> None:
    page = pat.open()
    pat.asleep(1_000)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(dialog_of(page, OVER)).to_contain_text("because you were inactive", timeout=3_000)


def test_what_a_person_does_keeps_the_session_and_what_pages_do_does_not(pat: Person) -> None:
    page = pat.open()
    reports: list[str] = []

    def heard(request: Request) -> None:
        if "/session/active" in request.url:
            reports.append(request.url)

    page.on("request", heard)
    begun = pat.seen()
    page.evaluate("fetch('/orders')")
    page.evaluate("scrollTo(0, 500); document.body.click()")
    page.wait_for_timeout(1_500)
    assert reports == [] and pat.seen() == begun
    deeds: list[Callable[[], None]] = [
        lambda: page.keyboard.press("x"),
        lambda: page.mouse.move(300, 300, steps=3),
        lambda: page.mouse.wheel(0, 50),
        lambda: page.mouse.click(500, 500),
    ]
    for deed in deeds:
        pat.later(31)
        before = len(reports)
        deed()
        page.wait_for_timeout(1_600)
        assert len(reports) == before + 1, "one report within a second or so"
    assert pat.seen() > begun + 120
    for _ in range(8):
        page.mouse.move(100, 100, steps=2)
        page.mouse.move(300, 300, steps=2)
        pat.later(3)
    page.wait_for_timeout(1_200)
    assert len(reports) <= before + 2, "no more than one in 30 seconds"


def test_the_last_deeds_in_a_page_that_is_left_are_reported(pat: Person) -> None:
    page = pat.open("/orders/new")
    page.keyboard.press("x")
    page.wait_for_timeout(1_500)
    pat.later(20)
    before = pat.seen()
    page.keyboard.press("x")
    page.goto("about:blank")
    page.wait_for_timeout(500)
    assert pat.seen() > before + 15


def test_before_the_absolute_end_one_signs_in_again_and_loses_nothing(long_pat: Person) -> None:
    page, other = long_pat.open(), long_pat.open("/orders")
    write(page)
    page.locator("input[name=customer]").focus()
    long_pat.later(3_490)
    expect(other.get_by_role("dialog", name="Your session is about to end")).to_be_visible()
    expect(other.get_by_role("button", name="Sign in again")).not_to_be_focused()
    notice = page.get_by_role("dialog", name="Your session is about to end")
    expect(notice).to_contain_text(re.compile(r"1:[0-5]\d"))
    expect(page.locator("input[name=customer]")).to_be_focused()  # somebody may be typing
    page.keyboard.type("!")
    expect_written(page, "Tea & Co!")
    long_pat.sign_in_again(page)
    for tab in (page, other):
        expect(tab.get_by_role("dialog", name="Your session is about to end")).to_have_count(0)
    expect_written(page, "Tea & Co!")
    long_pat.later(3_000)
    page.wait_for_timeout(1_500)
    assert long_pat.alive()
    expect(dialog_of(page, OVER)).to_have_count(0)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (EndReason.REVOKED, "signed out elsewhere or by an administrator"),
        (EndReason.SIGNED_OUT, "You signed out"),
    ],
)
def test_every_tab_says_within_ten_seconds_that_it_is_over(
    chromium: Browser, tmp_path: Path, reason: EndReason, words: str
) -> None:
    with signed_in(tmp_path) as sender, person(chromium, sender, clock=False) as pat:
        page, other = pat.open(), pat.open("/orders")
        write(page)
        ended = time.monotonic()
        pat.end(reason)
        for tab in (page, other):
            expect(dialog_of(tab, OVER)).to_contain_text(words, timeout=10_000)
        assert time.monotonic() - ended < 10
        pat.sign_in_again(page)
        for tab in (page, other):
            expect(dialog_of(tab, OVER)).to_have_count(0)
        expect_written(page)


def test_what_the_page_asked_meanwhile_is_asked_again_or_said(pat: Person) -> None:
    page = pat.open()
    pat.end(EndReason.REVOKED)
    page.evaluate("""() => {
        self.results = {};
        fetch("/orders").then(answer => { results.read = answer.status; });
        fetch("/orders", { method: "POST" }).then(answer => { results.write = answer.status; });
    }""")
    expect(dialog_of(page, OVER)).to_be_visible()
    expect(dialog_of(page, OVER)).to_contain_text("was not carried out")
    assert page.evaluate("results") == {"write": 401}
    pat.sign_in_again(page)
    page.wait_for_function("results.read === 200")
    lost = page.get_by_role("dialog", name="Something was not saved")
    expect(lost).to_be_visible()
    lost.get_by_role("button", name="Close").click()
    expect(lost).to_have_count(0)


def test_an_xhr_that_was_refused_is_said_too(pat: Person) -> None:
    page = pat.open()
    pat.end(EndReason.REVOKED)
    status = page.evaluate("""() => new Promise(resolve => {
        const request = new XMLHttpRequest();
        request.open("POST", "/orders");
        request.onload = () => resolve(request.status);
        request.send();
    })""")
    assert status == 401
    expect(dialog_of(page, OVER)).to_contain_text("was not carried out")


def test_an_abandoned_request_does_not_wait(pat: Person) -> None:
    page = pat.open()
    pat.end(EndReason.REVOKED)
    name = page.evaluate("""() => {
        const stop = new AbortController();
        setTimeout(() => stop.abort(), 1500);
        return fetch("/orders", { signal: stop.signal }).then(() => "answered", error => error.name);
    }""")
    assert name == "AbortError"


def test_somebody_else_signed_in_is_said_before_anything_is_mixed_up(pat: Person) -> None:
    page, other = pat.open(), pat.open("/orders")
    kim = pat.sender.gate.cookie(pat.sender.gate.add_user("kim")).partition("=")
    pat.context.add_cookies([{"name": kim[0], "value": kim[2], "url": pat.address}])
    page.evaluate("dispatchEvent(new Event('focus'))")
    for tab in (page, other):
        expect(dialog_of(tab, "Somebody else is signed in now")).to_contain_text("kim has signed in")
    page.get_by_role("button", name="Load the page again").click()
    expect(menu_of(page, "Kim")).to_be_visible()


def test_the_last_tab_ends_the_session_and_no_other_does(long_pat: Person) -> None:
    page, other = long_pat.open(), long_pat.open("/orders")
    page.close(run_before_unload=True)
    other.wait_for_timeout(500)
    long_pat.sender.clock.forward(31)
    assert long_pat.alive()
    other.reload()
    expect(menu_of(other)).to_be_visible()
    other.goto(long_pat.address + "/payments")
    expect(menu_of(other)).to_be_visible()
    other.go_back()
    expect(menu_of(other)).to_be_visible()
    with other.expect_request("**/_gate/session/pulse"):
        pass  # a late beacon of the page before does not have the last word
    other.wait_for_timeout(500)
    long_pat.sender.clock.forward(31)
    assert long_pat.alive()
    blank = long_pat.context.new_page()
    other.close(run_before_unload=True)
    blank.wait_for_timeout(500)
    long_pat.sender.clock.forward(29)
    assert long_pat.alive()
    long_pat.sender.clock.forward(2)
    assert not long_pat.alive()
    blank.goto(long_pat.address + "/orders")
    expect(blank.get_by_text("no longer open in any tab")).to_be_visible()


def test_without_javascript_nothing_is_there_and_nothing_breaks(chromium: Browser, tmp_path: Path) -> None:
    with (
        signed_in(tmp_path) as sender,
        person(chromium, sender, clock=False, java_script_enabled=False) as pat,
    ):
        page = pat.context.new_page()
        page.goto(pat.address + "/orders?q=lamp")
        expect(page.get_by_role("heading", name="Orders")).to_be_visible()
        expect(page.locator("gatekeeper-session")).to_have_count(0)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_it_stands_at_the_end_of_the_line_and_fits_a_small_screen(
    chromium: Browser, tmp_path: Path, direction: str
) -> None:
    with signed_in(tmp_path) as sender, person(chromium, sender) as pat:
        page = pat.context.new_page()
        page.set_viewport_size({"width": 320, "height": 600})
        page.goto(pat.address + "/orders/new")
        expect(menu_of(page)).to_be_visible()
        page.evaluate(f"document.documentElement.dir = '{direction}'")
        menu_of(page).click()
        page.keyboard.press("Escape")
        expect(menu_of(page)).to_be_visible()
        page.evaluate("document.body.replaceChildren()")  # the sample's own tables are wider than a phone
        box = menu_of(page).bounding_box()
        assert box is not None
        assert (box["x"] < 20) if direction == "rtl" else (box["x"] + box["width"] > 300)
        menu_of(page).click()
        inside = page.get_by_role("menu").bounding_box()
        assert inside is not None and inside["x"] >= 0 and inside["x"] + inside["width"] <= 320
        page.keyboard.press("Escape")
        page.wait_for_timeout(1_500)
        pat.later(800)
        dialog = dialog_of(page, IDLE).bounding_box()
        assert dialog is not None and dialog["x"] >= 0 and dialog["x"] + dialog["width"] <= 320
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_for_axe_to_complain_about(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    with signed_in(tmp_path) as sender, person(chromium, sender, color_scheme=scheme) as pat:
        page = pat.open("/orders")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        menu_of(page).click()
        assert page.evaluate(RUN_AXE) == []
        page.keyboard.press("Escape")
        page.wait_for_timeout(1_500)
        pat.later(800)
        expect(dialog_of(page, IDLE)).to_be_visible()
        assert page.evaluate(RUN_AXE) == []
        pat.end(EndReason.REVOKED)
        pat.later(9)
        expect(dialog_of(page, OVER)).to_be_visible()
        assert page.evaluate(RUN_AXE) == []


def test_the_pages_own_style_does_not_reach_it_nor_its_style_the_page(pat: Person) -> None:
    page = pat.open("/orders")
    look = "element => { const box = element.getBoundingClientRect(); return [box.width, box.height]; }"
    before = menu_of(page).evaluate(look)
    page.add_style_tag(
        content="* { display: none !important; font-size: 40px !important } gatekeeper-session { all: unset }"
        " html, body { display: block !important }"
    )
    assert menu_of(page).evaluate(look) == before
    assert (
        page.evaluate("document.adoptedStyleSheets.length + document.body.querySelectorAll('style').length")
        == 0
    )


def test_a_name_is_text(chromium: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=document.title='broken'>"

    async def add(services: Any) -> int:
        user = await services.users.add(
            "kim", name=name, email="", roles=[], password=PASSWORD, by=Source("test")
        )
        return int(user.id)

    with signed_in(tmp_path) as sender:
        sender.cookie = cookie_of(sender.gate, sender.gate.call(add))
        with person(chromium, sender) as kim:
            page = kim.context.new_page()
            page.goto(kim.address + "/orders")
            expect(menu_of(page, name)).to_be_visible()
            assert page.title() != "broken"


def test_the_menu_is_in_the_corner_that_the_configuration_names(chromium: Browser, tmp_path: Path) -> None:
    with signed_in(tmp_path, script="bottom-left") as sender, person(chromium, sender) as pat:
        page = pat.open("/orders")
        menu_of(page).click()
        button, menu = menu_of(page).bounding_box(), page.get_by_role("menu").bounding_box()
        assert button is not None and menu is not None
        assert button["x"] < 20 and button["y"] > 560
        assert menu["x"] >= 0 and menu["y"] > 0 and menu["y"] + menu["height"] < button["y"]


def test_elements_that_pass_themselves_off_as_globals_do_not_lead_it_elsewhere(
    chromium: Browser, tmp_path: Path
) -> None:
    """DOM clobbering: somebody may be allowed to write elements with names into a page, but no scripts."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = (
            b"<!doctype html><head><title>x</title></head><body><a id=gatekeeperSession></a>"
            b"<img name=currentScript data-prefix=/elsewhere>"
        )
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with (
        serving(application) as port,
        signed_in(tmp_path, port=port) as sender,
        person(chromium, sender, clock=False) as pat,
    ):
        page = pat.context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pat.address + "/")
        expect(menu_of(page)).to_be_visible(timeout=5_000)
        assert not [url for url in asked if "elsewhere" in url]
