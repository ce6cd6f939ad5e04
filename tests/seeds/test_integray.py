"""The integration platform: its manual's chapter about the login screen, paragraph by paragraph.

Docstrings say in our words what a paragraph promises. Left out: sign-in with Microsoft.
"""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from gatekeeper.build.services import Services
from gatekeeper.storage.tables import sessions
from tests.seeds.mailbox import password_in, text_of
from tests.seeds.place import DAY, HOUR, MINUTE, Place
from tests.seeds.profile import Profile
from tests.seeds.walk import (
    OTHER,
    PASSWORD,
    button,
    click_in_mail,
    documents,
    expect_application,
    expect_refused,
    expect_sign_in,
    fill_in,
    send_sign_in,
    set_new_password,
    sign_in,
    soon,
)

pytestmark = pytest.mark.browser

LOGIN, NAME = "ann@example.com", "Ann Example"
SLIDES = (
    "Welcome to Integray",
    "Secure the platform with a strong password",
    "Configure your integrations",
    "Help center",
)


def skip_welcome(page: Page) -> None:
    expect(page.get_by_role("heading", name=SLIDES[0])).to_be_visible()
    button(page, "Skip")


def test_standard_login_with_a_first_logon_password(page: Page, integray: Place) -> None:
    """Who signs in needs a login and a password. An administrator makes the first password and tells it; to
    change it right after the first sign-in is strongly encouraged. Fields: User login, Password; button: Log
    in.
    """
    integray.command(
        "user", "add", LOGIN, "--email", LOGIN, "--name", NAME, "--first-password", "told on the phone 8"
    )
    page.goto(integray.address)
    expect_sign_in(page)
    page.get_by_label("User login", exact=True).fill(LOGIN)
    page.get_by_label("Password", exact=True).fill("told on the phone 8")
    button(page, "Log in")

    expect(page.get_by_text("You should replace it by one that only you know")).to_be_visible()
    button(page, "Not now")
    skip_welcome(page)
    expect_application(page, NAME)

    page.context.clear_cookies()
    sign_in(page, integray, LOGIN, "told on the phone 8")
    set_new_password(page, PASSWORD)
    expect_application(page, NAME)

    page.context.clear_cookies()
    sign_in(page, integray, LOGIN, "told on the phone 8")
    expect_refused(page)
    sign_in(page, integray, LOGIN)
    expect_application(page, NAME)


def test_standard_login_with_a_mailed_password(page: Page, integray: Place) -> None:
    """The other way to a password: the administrator resets it by hand, and a generated one comes by e-mail.
    That one, too, is to be changed.
    """
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    integray.command("user", "reset-password", LOGIN, "--mail")
    mail = integray.mailbox.take(LOGIN, "Your new password")

    sign_in(page, integray, LOGIN)
    expect_refused(page)
    click_in_mail(page, mail, "Sign in")
    expect_sign_in(page)
    fill_in(page, LOGIN, password_in(mail))
    send_sign_in(page)
    expect(page.get_by_text("An administrator has reset the password")).to_be_visible()
    expect(page.get_by_role("button", name="Not now")).to_have_count(0)
    set_new_password(page, OTHER)
    expect_application(page, NAME)
    assert "was changed" in text_of(integray.mailbox.take(LOGIN, "Your password was changed"))


def test_a_newcomer_invited_by_mail(page: Page, integray: Place) -> None:
    """The first password may come by e-mail as well, for somebody who was never here."""
    integray.command("user", "add", LOGIN, "--email", LOGIN, "--name", NAME, "--invite")
    mail = integray.mailbox.take(LOGIN, "Your account for Integray")
    click_in_mail(page, mail, "Accept invitation")
    expect(page.get_by_role("heading", name="Your invitation")).to_be_visible()
    button(page, "Continue")
    expect_sign_in(page)
    fill_in(page, LOGIN, password_in(mail))
    send_sign_in(page)
    set_new_password(page, PASSWORD)
    skip_welcome(page)
    expect_application(page, NAME)


def test_logins_are_unique(integray: Place) -> None:
    """Accounts are set up by the administrator; each login is there once, an e-mail address, say."""
    integray.command("user", "add", LOGIN, "--first-password", "told on the phone 8")
    with pytest.raises(AssertionError, match="there is an account"):
        integray.command("user", "add", LOGIN.upper(), "--first-password", "told on the phone 9")


def test_remember_me(profile: Profile, integray: Place) -> None:
    """The box is ticked before Log in is pressed. For 48 hours whoever opens the platform is not asked for
    anything and comes directly to its start page. After the 48 hours the box is still ticked; whether the
    fields are filled in depends on the browser.
    """
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    page = profile.open()
    page.goto(integray.address)
    expect_sign_in(page)
    box = page.get_by_label("Remember me")
    expect(box).not_to_be_checked()
    box.check()
    fill_in(page, LOGIN, PASSWORD)
    button(page, "Log in")
    expect_application(page, NAME)

    integray.clock.forward(48 * HOUR - MINUTE)
    page = profile.reopen()
    with documents(page) as asked:
        page.goto(integray.address)
        expect_application(page, NAME)
    assert asked == [f"{integray.address}/"]

    integray.clock.forward(48 * HOUR + MINUTE)
    page = profile.reopen()
    page.goto(integray.address)
    expect_sign_in(page)
    expect(page.get_by_label("Remember me")).to_be_checked()
    expect(page.get_by_label("User login")).to_have_attribute("autocomplete", "username")
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("autocomplete", "current-password")
    fill_in(page, LOGIN, PASSWORD)
    button(page, "Log in")
    expect_application(page, NAME)
    page = profile.reopen()
    page.goto(integray.address)
    expect_application(page, NAME)


def test_remember_me_is_renewed_while_a_tab_is_in_use(page: Page, integray: Place) -> None:
    """While the platform is open in a tab, the time is counted anew every 5 minutes."""
    integray.person(LOGIN, name=NAME, password=PASSWORD)

    def renewed_at() -> float:
        """As it is written down, which happens a moment after the answer."""

        async def ask(services: Services) -> float:
            async with services.db.read() as conn:
                return float(await conn.scalar(sa.select(sa.func.max(sessions.c.renewed_at))) or 0.0)

        return integray.call(ask)

    def use(*, after: float, renews: bool) -> None:
        before = renewed_at()
        integray.clock.forward(after)
        page.reload()
        expect_application(page, NAME)
        if renews:
            soon(lambda: renewed_at() > before)
        else:
            assert renewed_at() == before

    page.goto(integray.address)
    page.get_by_label("Remember me").check()
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    expect_application(page, NAME)
    for _ in range(2):
        use(after=4 * MINUTE, renews=False)
        use(after=MINUTE, renews=True)
    for _ in range(15):  # every 47 hours, nearly to the 30 days that are the most
        use(after=47 * HOUR, renews=True)
    integray.clock.forward(30 * DAY - 15 * 47 * HOUR)
    page.reload()
    expect_sign_in(page)


def test_not_remembered(profile: Profile, integray: Place) -> None:
    """Without the tick, closing all tabs of the platform means to sign in again."""
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    page = profile.open()
    sign_in(page, integray, LOGIN)
    expect_application(page, NAME)
    other = page.context.new_page()
    page.close()
    other.goto(integray.address)
    expect_application(other, NAME)
    page = profile.reopen()
    page.goto(integray.address)
    expect_sign_in(page)
    expect(page.get_by_label("Remember me")).not_to_be_checked()


def test_forgot_password(page: Page, integray: Place) -> None:
    """Forgot password? opens a window Password recovery with the field User login and the button Send
    recovery e-mail, which then says that an e-mail was sent. Its button Reset password leads back to a window
    Set new password with New password and Confirm password; the button Reset password ends it. Password
    changed successfully, says the platform, and Back to Log in leads to where the new password works.
    """
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    page.goto(integray.address)
    page.get_by_role("link", name="Forgot password?", exact=True).click()
    window = page.get_by_role("dialog", name="Password recovery")
    expect(window).to_be_visible()
    window.get_by_label("User login", exact=True).fill(LOGIN)
    window.get_by_role("button", name="Send recovery e-mail", exact=True).click()
    expect(window.get_by_role("status")).to_contain_text("e-mail")
    expect(window.get_by_role("status")).to_contain_text("is on its way to its address")

    click_in_mail(page, integray.mailbox.take(LOGIN, "Reset password"), "Reset password")
    window = page.get_by_role("dialog", name="Set new password")
    expect(window).to_be_visible()
    window.get_by_label("New password", exact=True).fill(OTHER)
    window.get_by_label("Confirm password", exact=True).fill("something else")
    window.get_by_role("button", name="Reset password", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    set_new_password(page, OTHER, "Reset password")

    expect(page.get_by_role("dialog", name="Password changed successfully")).to_be_visible()
    page.get_by_role("link", name="Back to Log in", exact=True).click()
    expect_sign_in(page)
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    expect_refused(page)
    fill_in(page, LOGIN, OTHER)
    send_sign_in(page)
    expect_application(page, NAME)


def test_a_recovery_mail_works_for_an_hour(page: Page, integray: Place) -> None:
    """The mail leads to a new password in time, and afterwards to asking for another."""
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    page.goto(f"{integray.address}/_gate/forgot")
    page.get_by_label("User login").fill(LOGIN)
    button(page, "Send recovery e-mail")
    mail = integray.mailbox.take(LOGIN, "Reset password")
    integray.clock.forward(HOUR)
    click_in_mail(page, mail, "Reset password")
    expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    page.get_by_role("link", name="Ask for a new link").click()
    expect(page.get_by_role("dialog", name="Password recovery")).to_be_visible()


def test_login_issues(page: Page, integray: Place) -> None:
    """Invalid user login or Password: one of the two is wrong. Internal server error: something is broken
    behind the page, and the administrator has to be told.
    """
    integray.person(LOGIN, name=NAME, password=PASSWORD)
    for login, password in ((LOGIN, OTHER), ("nobody@example.com", PASSWORD)):
        sign_in(page, integray, login, password)
        expect(page.get_by_role("alert").get_by_text("Invalid user login or password")).to_be_visible()
        expect(page.get_by_label("User login")).to_have_value(login)
        expect(page.get_by_label("Password", exact=True)).to_have_value("")

    async def breaks(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("broken")

    async def breakage(services: Services) -> None:
        services.sign_in.password = breaks  # type: ignore[assignment, method-assign]

    integray.call(breakage)
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    expect(page.get_by_role("heading", name="Internal server error")).to_be_visible()
    expect(page.get_by_text(re.compile("administrator", re.IGNORECASE))).to_be_visible()
    expect(page.locator(".ref")).to_have_text(re.compile("Reference [0-9a-f]{16}"))


def test_first_time_user(page: Page, integray: Place) -> None:
    """At the first sign-in a few slides introduce the platform. On the last one the button Get started leads
    directly to the help center. Four of them: a welcome, a strong password, the first integration, the help
    center.
    """
    integray.command("user", "add", LOGIN, "--email", LOGIN, "--name", NAME, "--first-password", PASSWORD)
    sign_in(page, integray, LOGIN)
    button(page, "Not now")
    for number, title in enumerate(SLIDES, 1):
        expect(page.get_by_text(f"{number} of {len(SLIDES)}")).to_be_visible()
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        picture = page.locator("img.slide")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 0
        if number < len(SLIDES):
            page.get_by_role("link", name="Next", exact=True).click()
    help_url = integray.settings.branding.help_url
    assert help_url is not None
    with page.expect_request(help_url):
        button(page, "Get started")

    page = page.context.new_page()
    page.goto(integray.address)
    expect_application(page, NAME)
    page.context.clear_cookies()
    sign_in(page, integray, LOGIN)
    button(page, "Not now")
    expect_application(page, NAME)
