"""The payment platform: its manual's chapter about sign-in, sign-out and access, paragraph by paragraph.

Docstrings say in our words what a paragraph promises. Left out: sign-in with Microsoft, the menu under the
login name inside the application.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.seeds.place import HOUR, MINUTE, Place
from tests.seeds.walk import (
    PASSWORD,
    button,
    expect_application,
    expect_refused,
    expect_sign_in,
    fill_in,
    send_sign_in,
    sign_in,
)

pytestmark = pytest.mark.browser

LOGIN, NAME = "pat", "Pat Example"
IDLE = "Your session has ended because you were inactive"
TOTAL = "Your session has ended because it reached its maximum length"


def pat(place: Place, *roles: str) -> None:
    place.person(LOGIN, email="pat@example.com", name=NAME, roles=roles, password=PASSWORD)


def test_sign_in_with_platform_credentials(page: Page, impai: Place) -> None:
    """The credentials go into the fields User Name and Password; the button Login signs in."""
    pat(impai, "operations")
    page.goto(impai.address)
    expect_sign_in(page)
    expect(page.get_by_role("heading", name="Login", exact=True)).to_be_visible()
    page.get_by_label("User Name", exact=True).fill(LOGIN)
    page.get_by_label("Password", exact=True).fill("not the password")
    button(page, "Login")
    expect_refused(page)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    button(page, "Login")
    expect_application(page, NAME)


def test_access_by_role(page: Page, impai: Place) -> None:
    """What somebody sees depends on the roles they have, such as Operations, Payment Processing or Audit."""
    for role in ("operations", "payment-processing", "audit"):
        impai.person(role, email="", name=role.title(), roles=[role], password=PASSWORD)
        sign_in(page, impai, role)
        expect_application(page, role.title())
        page.context.clear_cookies()


def test_no_access_without_a_role(page: Page, impai: Place) -> None:
    """Access may be limited by the role: without any, the platform stays closed, and says to whom."""
    pat(impai)
    sign_in(page, impai, LOGIN, path="/orders")
    expect(page.get_by_text("You are signed in as")).to_contain_text(NAME)
    expect(page.get_by_role("heading", name="Orders")).to_have_count(0)
    button(page, "Sign in as someone else")
    expect_sign_in(page)


def test_sign_out(page: Page, impai: Place) -> None:
    """Who is signed in can sign out by hand."""
    pat(impai, "audit")
    sign_in(page, impai, LOGIN)
    expect_application(page, NAME)
    cookies = page.context.cookies()
    page.goto(f"{impai.address}/_gate/logout")
    page.locator("form[action$='/logout'] button").first.click()
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    page.context.add_cookies([{**cookie} for cookie in cookies])  # type: ignore[typeddict-item]
    page.goto(impai.address)
    expect_sign_in(page)


def test_inactivity_timeout(page: Page, impai: Place) -> None:
    """Without activity for a defined time the session ends by itself."""
    pat(impai, "operations")
    sign_in(page, impai, LOGIN, path="/orders?q=lamp")
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    for _ in range(3):
        impai.clock.forward(14 * MINUTE)
        page.reload()
        expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    impai.clock.forward(15 * MINUTE)
    page.reload()
    expect_sign_in(page)
    expect(page.get_by_role("status").get_by_text(IDLE)).to_be_visible()
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    page.wait_for_url(f"{impai.address}/orders?q=lamp")


def test_total_session_timeout(page: Page, impai: Place) -> None:
    """However active somebody is, a session has a longest duration; then one has to sign in again."""
    pat(impai, "operations")
    sign_in(page, impai, LOGIN)
    expect_application(page, NAME)
    step = 14 * MINUTE
    for _ in range(int(8 * HOUR // step)):
        impai.clock.forward(step)
        assert page.evaluate("fetch('/orders').then(answer => answer.status)") == 200
    page.reload()
    expect_application(page, NAME)
    impai.clock.forward(8 * HOUR % step)
    page.reload()
    expect_sign_in(page)
    expect(page.get_by_role("status").get_by_text(TOTAL)).to_be_visible()
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    expect_application(page, NAME)
