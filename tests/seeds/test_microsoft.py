"""What two manuals promise of signing in with Microsoft; the provider speaks and fails as Entra ID does.

Docstrings say in our words what a paragraph promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from tests.idp.directory import CLIENT_ID, PASSWORD, TENANT, Directory, Person
from tests.idp.directory import SECRET as CLIENT_SECRET
from tests.idp.server import Idp, serving
from tests.seeds.place import CONFIG, Place, place
from tests.seeds.walk import PASSWORD as LOCAL
from tests.seeds.walk import button, expect_application, expect_sign_in, sign_in

pytestmark = pytest.mark.browser

LOGIN, NAME = "pat@example.com", "Pat Example"
TROUBLE = "Trouble signing in with Microsoft?"


@pytest.fixture(scope="module")
def running_idp() -> Iterator[Idp]:
    with serving() as idp:
        yield idp


@pytest.fixture
def idp(running_idp: Idp) -> Idp:
    """Knows one application and one person, and does nothing wrong."""
    running_idp.directory.__dict__.update(Directory().__dict__)
    return running_idp


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser that was never here. It does not know the authority of the provider's certificate."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def running(config: str, idp: Idp, folder: Path, application: int, **more: str) -> Iterator[Place]:
    environ = {
        "CLIENT_ID": CLIENT_ID,
        "TENANT": TENANT,
        "AUTHORITY": idp.authority,
        "CA_FILE": str(idp.ca_file),
        **more,
    }
    named = {f"GATEKEEPER_MICROSOFT__{key}": value for key, value in environ.items()}
    with place(CONFIG / config, folder / "gate", application, named) as made:
        idp.directory.registrations[0].redirect_uris.add(f"{made.address}/_gate/sso/microsoft/callback")
        yield made


@pytest.fixture
def integray(idp: Idp, tmp_path: Path, application: int) -> Iterator[Place]:
    """Registered as a single-page application: nothing but a client id."""
    idp.directory.registrations[0].kind, idp.directory.registrations[0].secret = "spa", None
    yield from running("integray.yaml", idp, tmp_path, application)


@pytest.fixture
def impai(idp: Idp, tmp_path: Path, application: int) -> Iterator[Place]:
    """Registered as "Web", with a client secret."""
    yield from running("impai.yaml", idp, tmp_path, application, CLIENT_SECRET=CLIENT_SECRET)


def press(page: Page, name: str = "Microsoft Azure login") -> None:
    page.get_by_role("link", name=name, exact=True).click()


def at_microsoft(page: Page, idp: Idp, login: str = LOGIN, password: str = PASSWORD) -> None:
    """Fill in the form of the provider's own page."""
    page.wait_for_url(lambda url: url.startswith(idp.authority))
    page.get_by_label("User name").fill(login)
    page.get_by_label("Password").fill(password)
    button(page, "Sign in")


def test_the_button_leads_to_microsoft_and_back_to_the_page_wanted(
    page: Page, integray: Place, idp: Idp
) -> None:
    """With the client id in the settings the login screen has a button; the user login is compared with the
    user principal name.
    """
    integray.person("PAT@example.com", name=NAME)
    wanted = f"{integray.address}/orders?q=lamp&page=2#row-5"
    page.goto(wanted)
    expect_sign_in(page)
    press(page)
    at_microsoft(page, idp)
    page.wait_for_url(wanted)
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()

    page.context.clear_cookies()
    page.goto(integray.address)
    press(page)
    at_microsoft(page, idp)
    expect_application(page, NAME)


def test_two_tabs_at_once(page: Page, integray: Place, idp: Idp) -> None:
    integray.person(LOGIN, name=NAME)
    other = page.context.new_page()
    for tab, path in ((page, "/orders?q=a"), (other, "/orders?q=b")):
        tab.goto(integray.address + path)
        press(tab)
        tab.wait_for_url(lambda url: url.startswith(idp.authority))
    for tab, path in ((other, "/orders?q=b"), (page, "/orders?q=a")):
        at_microsoft(tab, idp)
        tab.wait_for_url(integray.address + path)


def test_aad_user_not_found(page: Page, integray: Place, idp: Idp) -> None:
    """AAD User not found: the platform's user cannot be recognised under the user principal name."""
    integray.person("somebody.else@example.com", name="Somebody Else")
    page.goto(integray.address)
    press(page)
    at_microsoft(page, idp)
    expect(page.get_by_role("heading", name="AAD User not found")).to_be_visible()
    expect(page.get_by_text("no account here has your user principal name")).to_be_visible()
    page.get_by_role("link", name="Back to sign-in").click()
    expect_sign_in(page)


def unknown_application(directory: Directory) -> None:
    directory.registrations.clear()


def no_redirect_address(directory: Directory) -> None:
    directory.registrations[0].redirect_uris.clear()


@pytest.mark.parametrize(
    ("change", "there", "here"),
    [
        (unknown_application, "AADSTS700016", "Application not found in the directory"),
        (no_redirect_address, "AADSTS50011", "The redirect address is not registered"),
    ],
)
def test_what_stays_on_microsofts_page_is_explained_here(
    page: Page,
    integray: Place,
    idp: Idp,
    change: Callable[[Directory], None],
    there: str,
    here: str,
) -> None:
    """The platform is most likely not registered; the address is missing among the redirect addresses."""
    change(idp.directory)
    page.goto(integray.address)
    expect(page.get_by_text(TROUBLE)).to_have_count(0)
    press(page)
    expect(page.locator("#exceptionMessageContainer")).to_contain_text(there)
    page.go_back()
    expect_sign_in(page)
    page.get_by_text(TROUBLE).click()
    expect(page.get_by_text(here)).to_be_visible()
    expect(page.get_by_text(f"Microsoft shows {there}")).to_be_visible()


def test_wrong_credentials_at_microsoft(page: Page, integray: Place, idp: Idp) -> None:
    """Incorrect credentials of the Microsoft account: Microsoft says so itself, and lets try again."""
    integray.person(LOGIN, name=NAME)
    page.goto(f"{integray.address}/orders")
    press(page)
    at_microsoft(page, idp, password="not the password")
    expect(page.get_by_role("alert")).to_contain_text("AADSTS50126")
    page.goto(f"{integray.address}/orders")
    page.get_by_text(TROUBLE).click()
    expect(page.get_by_text("Microsoft shows AADSTS50126")).to_be_visible()
    press(page)
    at_microsoft(page, idp)
    page.wait_for_url(f"{integray.address}/orders")


def test_sign_in_with_microsoft_and_back_to_the_dashboard(page: Page, impai: Place, idp: Idp) -> None:
    """The button is at the bottom of the form; Microsoft asks for e-mail and password; then back to the
    dashboard. A single sign-on: whoever is signed in there types nothing.
    """
    impai.person(LOGIN, name=NAME, roles=["audit"])
    page.goto(impai.address)
    expect_sign_in(page)
    places = [page.locator("form button.p"), page.get_by_role("link", name="Sign in with Microsoft")]
    tops = [box["y"] for each in places if (box := each.bounding_box()) is not None]
    assert len(tops) == 2 and tops == sorted(tops)
    press(page, "Sign in with Microsoft")
    at_microsoft(page, idp)
    expect_application(page, NAME)


def test_whoever_has_no_microsoft_account_uses_the_fields(page: Page, impai: Place, idp: Idp) -> None:
    """Also while Microsoft cannot be reached: its button leads to a page that says so, within seconds."""
    idp.directory.faults.silent.add("discovery")
    impai.person(LOGIN, name=NAME, roles=["audit"], password=LOCAL)
    page.goto(impai.address)
    press(page, "Sign in with Microsoft")
    expect(page.get_by_role("heading", name="Microsoft cannot be reached")).to_be_visible(timeout=8_000)
    page.get_by_role("link", name="Back to sign-in").click()
    sign_in(page, impai, LOGIN, LOCAL)
    expect_application(page, NAME)


def test_a_name_that_was_given_to_another_person(page: Page, impai: Place, idp: Idp) -> None:
    user = impai.person(LOGIN, name=NAME, roles=["audit"])
    page.goto(impai.address)
    press(page, "Sign in with Microsoft")
    at_microsoft(page, idp)
    expect_application(page, NAME)

    page.context.clear_cookies()
    idp.directory.people = [Person(LOGIN, oid="ffffffff-1111-4222-8333-444444444444", name="Another Pat")]
    page.goto(impai.address)
    press(page, "Sign in with Microsoft")
    at_microsoft(page, idp)
    expect(page.get_by_role("heading", name="This account belongs to somebody else")).to_be_visible()
    impai.command("user", "unlink", LOGIN, "--provider", "microsoft")
    page.get_by_role("link", name="Back to sign-in").click()
    press(page, "Sign in with Microsoft")
    at_microsoft(page, idp)
    expect_application(page, NAME)
    assert user.login == LOGIN


@pytest.mark.parametrize("closed", ["disabled", "cancelled"])
def test_whoever_is_not_let_in_reads_why(page: Page, impai: Place, idp: Idp, closed: str) -> None:
    user = impai.person(LOGIN, name=NAME, roles=["audit"])
    page.goto(impai.address)
    press(page, "Sign in with Microsoft")
    if closed == "cancelled":
        button(page, "Cancel")
        expect(page.get_by_role("heading", name="Sign-in was cancelled")).to_be_visible()
        return

    async def disable(services: Services) -> bool:
        return await services.users.set_disabled(user.id, True, by=Source("test"))

    impai.call(disable)
    at_microsoft(page, idp)
    expect(page.get_by_role("heading", name="Your account is disabled")).to_be_visible()


def test_another_site_cannot_begin_a_sign_in(page: Page, impai: Place, idp: Idp) -> None:
    """A link elsewhere leads to our sign-in page at most: a person presses the button."""
    impai.person(LOGIN, name=NAME, roles=["audit"])
    page.goto(idp.authority + "/nothing")
    target = quote(f"{impai.address}/_gate/sso/microsoft?next=/orders", safe="")
    page.evaluate("address => { location.href = decodeURIComponent(address) }", target)
    expect_sign_in(page)
    assert page.url == f"{impai.address}/_gate/login?next=/orders"
