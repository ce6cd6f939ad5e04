"""A person's way through each proxy that asks Gatekeeper, in Debian's Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.nginx.others import PROXIES
from tests.nginx.support import HOST, Site, nginx_site
from tests.stack.whole import PASSWORD

pytestmark = pytest.mark.browser

RULES = [
    {"path": "/documents/**", "allow": {"roles": ["audit"]}},
    {"path": "/audit/**", "allow": {"two_factor": "10m"}},
]
TEN_MINUTES = 600.0
KEPT = 2.5
"""Seconds after which a proxy that keeps answers has none from before."""
_FETCH = """async (path) => {
    const answer = await fetch(path);
    return [answer.status, answer.url, (await answer.text()).slice(0, 200)];
}"""
_SOCKET = """() => new Promise((done, failed) => {
    const socket = new WebSocket(`wss://${location.host}/live/feed`);
    socket.onmessage = (event) => done(String(event.data).length > 0);
    socket.onerror = () => failed(new Error("refused"));
})"""


class Clock:
    """The time of day, and later when it is told so."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", params=["auth-request", "auth-request-cached", *PROXIES])
def site(
    request: pytest.FixtureRequest, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    with serving(make_sample()) as port:
        if request.param in PROXIES:
            running = PROXIES[request.param](folder, port, rules=RULES, clock=clock)
        else:
            running = nginx_site(folder, request.param, port, rules=RULES, clock=clock)
        with running as found:
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


def sign_in(page: Page, login: str) -> None:
    page.wait_for_url(re.compile(r"/_gate/login\?next="))
    page.get_by_label("User login").fill(login)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_the_whole_way(site: Site, page: Page) -> None:
    site.gate.add_user("ann", "clerk")
    place = f"{site.origin}/orders?page=2&status=open#list"
    page.goto(place)
    sign_in(page, "ann")
    page.wait_for_url(re.compile(r"/orders\?page=2&status=open"))
    expect(page.get_by_text("Ann", exact=False).first).to_be_visible()

    # The application's WebSocket, through the proxy.
    assert page.evaluate(_SOCKET) is True

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
    page.wait_for_timeout(KEPT * 1_000)
    status, url, body = tab.evaluate(_FETCH, "/orders")
    assert (status, url) == (401, f"{site.origin}/orders") and "unauthenticated" in body
    assert "refused" in tab.evaluate(f"() => ({_SOCKET})().catch((error) => String(error))")
    page.goto(place)
    page.wait_for_url(re.compile(r"/_gate/login\?next="))


def test_whose_role_allows_it_gets_in(site: Site, page: Page) -> None:
    site.gate.add_user("abe", "audit")
    page.goto(f"{site.origin}/documents?kind=all")
    sign_in(page, "abe")
    page.wait_for_url(re.compile(r"/documents\?kind=all"))
    expect(page.get_by_text("Abe", exact=False).first).to_be_visible()


def test_an_older_proof_leads_to_the_code_and_back(site: Site, page: Page, clock: Clock) -> None:
    number = site.gate.add_user("eve", "clerk")

    async def second_factor(services: Services) -> str:
        user = await services.users.get(number)
        assert user is not None
        factors, key = services.second_factors, b"s" * 32
        secret = (await factors.begin(user, session=key)).secret
        # As if confirmed a while ago: each code counts once.
        code = pyotp.TOTP(secret).at(clock() - 30)
        await factors.confirm(user, code, by=Source("eve"), session=key)
        return secret

    totp = pyotp.TOTP(site.gate.call(second_factor))

    def prove(button: str) -> None:
        page.get_by_label("2FA token (6 digits)").fill(totp.at(clock()))
        page.get_by_role("button", name=button, exact=True).click()

    place = f"{site.origin}/audit?from=2026-01-01&sort=a%20b"
    page.goto(place)
    sign_in(page, "eve")
    prove("Sign in")
    page.wait_for_url(place)

    clock.ahead += TEN_MINUTES + 1
    page.wait_for_timeout(KEPT * 1_000)
    tab = page.context.new_page()
    tab.goto(f"{site.origin}/orders")  # elsewhere the proof is fresh enough
    assert "/_gate/" not in tab.url
    status, url, _ = tab.evaluate(_FETCH, "/audit")
    assert (status, url) == (401, f"{site.origin}/audit")
    page.goto(place)
    expect(page.get_by_text("needs a code as well")).to_be_visible()
    prove("Continue")
    page.wait_for_url(place)
    assert tab.evaluate(_FETCH, "/audit")[0] == 200
