"""The back office with mandatory two-factor authentication: its manual about signing in, step by step.

Docstrings say in our words what a paragraph promises.
"""

from __future__ import annotations

import pyotp
import pytest
from playwright.sync_api import Page, expect

from gatekeeper.build.services import Services
from tests.seeds.mailbox import password_in, text_of
from tests.seeds.place import DAY, MINUTE, Place
from tests.seeds.walk import (
    OTHER,
    PASSWORD,
    button,
    click_in_mail,
    expect_application,
    expect_refused,
    expect_sign_in,
    fill_in,
    send_sign_in,
    set_new_password,
    sign_in,
)

pytestmark = pytest.mark.browser

LOGIN, NAME = "kim@example.com", "Kim Example"
TOKEN = "2FA token (6 digits)"


def kim(place: Place) -> pyotp.TOTP:
    """Somebody who has everything set up; the app on the phone."""
    return place.authenticator(place.person(LOGIN, name=NAME, password=PASSWORD))


def send_token(page: Page, place: Place, app: pyotp.TOTP) -> None:
    page.get_by_label(TOKEN).fill(place.code(app))
    button(page, "Sign in")


def come_in(page: Page, place: Place, app: pyotp.TOTP, password: str = PASSWORD) -> None:
    sign_in(page, place, LOGIN, password)
    send_token(page, place, app)


def test_a_newly_registered_user(page: Page, backoffice: Place) -> None:
    """The link in the invitation is followed; the credentials from the e-mail sign in; a new password is set.
    Then, as the second factor is mandatory, the account is added to an authenticator app.
    """
    backoffice.command("user", "add", LOGIN, "--email", LOGIN, "--name", NAME, "--invite")
    mail = backoffice.mailbox.take(LOGIN, "Your account for Back office")
    click_in_mail(page, mail, "Accept invitation")
    expect(page.get_by_text("Your login is")).to_contain_text(LOGIN)
    button(page, "Continue")
    expect_sign_in(page)
    fill_in(page, LOGIN, password_in(mail))
    button(page, "Sign in")

    expect(page.get_by_role("heading", name="Set new password")).to_be_visible()
    page.goto(backoffice.address)  # nothing can be left out
    expect(page.get_by_role("heading", name="Set new password")).to_be_visible()
    expect(page.get_by_role("button", name="Not now")).to_have_count(0)
    set_new_password(page, PASSWORD)
    expect(page.get_by_role("heading", name="Set up two-factor authentication")).to_be_visible()


def test_mandatory_two_factor_authentication(page: Page, backoffice: Place) -> None:
    """After the correct password the account must be added to an app such as Google Authenticator or
    Microsoft Authenticator: the value of 2FA account token is typed there, or the QR code scanned; the app's
    code goes into 2FA token (6 digits), and Update is clicked. From then on each sign-in asks for the token.
    """
    backoffice.person(LOGIN, name=NAME, password=PASSWORD)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, backoffice, LOGIN, path="/orders?q=lamp")
    steps = page.get_by_role("main")
    for words in (
        "Google Authenticator",
        "Microsoft Authenticator",
        "add a new account",
        "Enter a setup key",
    ):
        expect(steps).to_contain_text(words)
    expect(page.locator("svg").filter(has=page.locator("path")).last).to_be_visible()
    shown = page.get_by_role("group", name="2FA account token").inner_text()
    button(page, "Copy")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == shown
    page.goto(f"{backoffice.address}/")  # no way around
    expect(page.get_by_role("group", name="2FA account token")).to_have_text(shown)

    app = pyotp.TOTP(shown.replace(" ", ""))
    page.get_by_label(TOKEN).fill("000000" if backoffice.code(app) != "000000" else "111111")
    button(page, "Update")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label(TOKEN).fill(backoffice.code(app))
    button(page, "Update")
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    page.get_by_label("I have put these codes in a safe place").check()
    button(page, "Continue")
    expect_application(page, NAME)
    backoffice.mailbox.take(LOGIN, "Your two-factor authentication was changed")

    for _ in range(2):
        backoffice.clock.forward(16 * MINUTE)
        sign_in(page, backoffice, LOGIN)
        expect(page.get_by_label(TOKEN)).to_be_visible()
        send_token(page, backoffice, app)
        expect_application(page, NAME)


def test_sign_in(page: Page, backoffice: Place) -> None:
    """Login and password are entered, Sign in is clicked; whoever has two-factor authentication enters the
    six digits of the 2FA token.
    """
    app = kim(backoffice)
    page.goto(f"{backoffice.address}/orders?q=lamp")
    page.get_by_label("Login", exact=True).fill(LOGIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    button(page, "Sign in")
    page.goto(f"{backoffice.address}/orders?q=lamp")  # half way is not in
    page.get_by_label(TOKEN).fill("12345")
    button(page, "Sign in")
    expect(page.get_by_role("alert")).to_be_visible()
    code = backoffice.code(app)
    page.get_by_label(TOKEN).fill(f"{code[:3]} {code[3:]}")
    button(page, "Sign in")
    page.wait_for_url(f"{backoffice.address}/orders?q=lamp")
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()


def test_show_password(page: Page, backoffice: Place) -> None:
    """What is typed as a password is hidden; the check-box Show password shows it."""
    page.goto(backoffice.address)
    field = page.locator("input[name=password]")
    box = page.get_by_role("checkbox", name="Show password", exact=True)
    expect(box).not_to_be_checked()
    field.fill(PASSWORD)
    expect(field).to_have_attribute("type", "password")
    box.check()
    expect(field).to_have_attribute("type", "text")
    expect(field).to_have_value(PASSWORD)
    box.uncheck()
    expect(field).to_have_attribute("type", "password")


def test_five_wrong_passwords(page: Page, backoffice: Place) -> None:
    """Five wrong passwords block the account, and an e-mail says so. Following what it says unlocks the
    account.
    """
    app = kim(backoffice)
    for _ in range(5):
        sign_in(page, backoffice, LOGIN, "not the password")
        expect_refused(page)
    sign_in(page, backoffice, LOGIN)
    expect_refused(page)
    mail = backoffice.mailbox.take(LOGIN, "Your account is locked")
    assert "is now locked" in text_of(mail)
    backoffice.clock.forward(3 * MINUTE)
    click_in_mail(page, mail, "Unlock account")
    sign_in(page, backoffice, LOGIN)
    expect_refused(page)  # opening the link was not enough

    click_in_mail(page, mail, "Unlock account")
    button(page, "Unlock account")
    expect(page.get_by_role("heading", name="Your account is unlocked")).to_be_visible()
    page.get_by_role("link", name="Sign in", exact=True).click()
    fill_in(page, LOGIN, PASSWORD)
    send_sign_in(page)
    send_token(page, backoffice, app)
    expect_application(page, NAME)


def test_five_wrong_tokens(page: Page, backoffice: Place) -> None:
    """Guessing the token blocks the account as well, in the middle of the sign-in."""
    app = kim(backoffice)
    sign_in(page, backoffice, LOGIN)
    for _ in range(5):
        page.get_by_label(TOKEN).fill("000000" if backoffice.code(app) != "000000" else "111111")
        button(page, "Sign in")
        expect(page.get_by_text("locked").or_(page.get_by_role("alert")).first).to_be_visible()
    expect_sign_in(page)
    backoffice.mailbox.take(LOGIN, "Your account is locked")


def test_the_password_expires_after_90_days(page: Page, backoffice: Place) -> None:
    """A password is good for 90 days. The system says so and guides through setting a new one."""
    app = kim(backoffice)
    for _ in range(3):
        backoffice.clock.forward(29 * DAY)
        come_in(page, backoffice, app)
        expect_application(page, NAME)

    async def remind(services: Services) -> int:
        return await services.expiry.remind()

    assert backoffice.call(remind) == 1
    assert "expires on" in text_of(backoffice.mailbox.take(LOGIN, "Your password expires soon"))

    backoffice.clock.forward(3 * DAY)
    come_in(page, backoffice, app)
    expect(page.get_by_text("has expired: it must be changed every 90 days")).to_be_visible()
    page.goto(backoffice.address)
    set_new_password(page, PASSWORD)  # the old one again
    expect(page.get_by_role("alert")).to_be_visible()
    set_new_password(page, OTHER)
    expect_application(page, NAME)
    backoffice.clock.forward(29 * DAY)
    come_in(page, backoffice, app, OTHER)
    expect_application(page, NAME)


def test_more_than_30_days_without_a_sign_in(page: Page, backoffice: Place) -> None:
    """After more than 30 days without a sign-in the password must be updated, too."""
    app = kim(backoffice)
    backoffice.clock.forward(DAY)
    come_in(page, backoffice, app)
    expect_application(page, NAME)
    backoffice.clock.forward(30 * DAY - MINUTE)
    come_in(page, backoffice, app)
    expect_application(page, NAME)
    backoffice.clock.forward(30 * DAY + MINUTE)
    come_in(page, backoffice, app)
    expect(page.get_by_text("for more than 30 days")).to_be_visible()
    set_new_password(page, OTHER)
    expect_application(page, NAME)


@pytest.mark.parametrize("active", [True, False], ids=["active", "inactive"])
def test_the_session_lasts_15_minutes(page: Page, backoffice: Place, active: bool) -> None:
    """A session lasts 15 minutes, whatever happens in it. When it has ended, one signs in again."""
    app = kim(backoffice)
    come_in(page, backoffice, app)
    expect_application(page, NAME)
    if active:
        for _ in range(2):
            backoffice.clock.forward(7 * MINUTE)
            page.reload()
            expect_application(page, NAME)
        backoffice.clock.forward(MINUTE)
    else:
        backoffice.clock.forward(15 * MINUTE)
    page.reload()
    expect_sign_in(page)
    expect(page.get_by_role("status")).to_contain_text("Your session has ended because")
    come_in(page, backoffice, app)
    expect_application(page, NAME)


def test_sign_out(page: Page, backoffice: Place) -> None:
    """Sign out, in the area of the account, closes the session."""
    app = kim(backoffice)
    come_in(page, backoffice, app)
    expect_application(page, NAME)
    page.goto(f"{backoffice.address}/_gate/account")
    page.get_by_role("link", name="Sign out", exact=True).click()
    button(page, "Sign out")
    expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
    page.goto(backoffice.address)
    expect_sign_in(page)
