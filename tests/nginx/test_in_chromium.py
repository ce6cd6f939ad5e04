"""A person's way through nginx, which asks Gatekeeper, in Debian's Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.nginx.support import HOST, Site, nginx_site
from tests.stack.whole import PASSWORD

pytestmark = pytest.mark.browser

RULES = [
    {"path": "/documents/**", "allow": {"roles": ["audit"]}},
]
_FETCH = """async (path) => {
    const answer = await fetch(path);
    return [answer.status, answer.url, (await answer.text()).slice(0, 200)];
}"""


@pytest.fixture(scope="module", params=["auth-request", "auth-request-cached"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    with serving(make_sample()) as port, nginx_site(folder, request.param, port, rules=RULES) as found:
        yield found


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules])
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(30_000)
        yield context.new_page()
        browser.close()


def test_the_whole_way(site: Site, page: Page) -> None:
    site.gate.add_user("ann", "clerk")
    place = f"{site.origin}/orders?page=2&status=open#list"
    page.goto(place)
    page.wait_for_url(re.compile(r"/_gate/login\?next="))
    page.get_by_label("User login").fill("ann")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(re.compile(r"/orders\?page=2&status=open"))
    expect(page.get_by_text("Ann", exact=False).first).to_be_visible()

    # The application's WebSocket, through nginx.
    talked = page.evaluate(
        """() => new Promise((done, failed) => {
            const socket = new WebSocket(`wss://${location.host}/live/feed`);
            socket.onmessage = (event) => done(String(event.data).length > 0);
            socket.onerror = () => failed(new Error("refused"));
        })"""
    )
    assert talked is True

    tab = page.context.new_page()
    tab.goto(place)
    assert tab.evaluate(_FETCH, "/orders")[0] == 200
    assert tab.evaluate(_FETCH, "/documents")[0] == 403

    # Refused: a page that says who one is, and no loop.
    answer = page.goto(f"{site.origin}/documents")
    assert answer is not None and answer.status == 403
    expect(page.get_by_text("You may not open this page")).to_be_visible()
    expect(page.get_by_text("Ann", exact=False).first).to_be_visible()

    page.goto(f"{site.origin}/_gate/logout")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    page.wait_for_timeout(2_500)  # where answers are kept, they are so for a moment longer
    status, url, body = tab.evaluate(_FETCH, "/orders")
    assert (status, url) == (401, f"{site.origin}/orders") and "unauthenticated" in body
    page.goto(place)
    page.wait_for_url(re.compile(r"/_gate/login\?next="))
