"""Each application with a face of its own: on its hosts, at sign-in for its paths, and in its pages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.test_applications import OFFICE, WIKI, Browser
from tests.stack.whole import Whole, whole

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15"/></svg>'
PINK, GREEN, BLUE = "#9d174d", "#166534", "#1d4ed8"
DARK = "#93c5fd"
SLIDE = {"title": "Welcome", "text": "Here is where to begin."}


@contextlib.contextmanager
def branded(folder: Path, **more: Any) -> Iterator[Whole]:
    logo = folder / "wiki.svg"
    logo.write_text(LOGO)
    nowhere = "http://127.0.0.1:9"
    upstream: Any = [
        {"name": "front", "url": nowhere},
        {
            "name": "reports",
            "url": nowhere,
            "at": "/reports",
            "branding": {"product_name": "Reports", "color": PINK},
        },
        {
            "name": "wiki",
            "url": nowhere,
            "at": [WIKI, "office.example.com/handbook"],
            "branding": {
                "product_name": "Wiki",
                "color": GREEN,
                "logo_file": str(logo),
                "help_url": "https://help.example.com/wiki",
                "login_label": "Wiki name",
            },
        },
    ]
    common = {
        "public_url": f"https://{OFFICE}",
        "branding": {
            "product_name": "Office",
            "color": BLUE,
            "color_dark": "#93c5fd",
            "login_label": "Login",
        },
        "session": {"cookie_domain": "example.com"},
    }
    with whole(folder, upstream, **(common | more)) as gate:
        gate.add_user("ada")
        yield gate


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with branded(tmp_path_factory.mktemp("branded")) as found:
        yield found


def title(page: str) -> str:
    found = re.search(r"<title>.* – (.*)</title>", page)
    assert found is not None
    return found[1]


def style(browser: Browser, host: str, page: str) -> str:
    found = re.search(r'rel="stylesheet" href="([^"]+)"', page)
    assert found is not None
    return browser.ask(host, found[1]).body


@pytest.mark.parametrize(
    ("host", "path", "product", "color", "label"),
    [
        (OFFICE, "/_gate/login", "Office", BLUE, "Login"),
        (OFFICE, "/_gate/login?next=/orders", "Office", BLUE, "Login"),
        (OFFICE, "/_gate/login?next=/reports/2026%3Fa%3D/handbook", "Reports", PINK, "Login"),
        (OFFICE, "/_gate/login?next=/%2572eports", "Reports", PINK, "Login"),
        (OFFICE, "/_gate/login?next=/reports2", "Office", BLUE, "Login"),
        (OFFICE, "/_gate/login?next=/handbook", "Wiki", GREEN, "Wiki name"),
        (WIKI, "/_gate/login", "Wiki", GREEN, "Wiki name"),
        (WIKI, "/_gate/login?next=/reports", "Wiki", GREEN, "Wiki name"),
        (WIKI, "/_gate/forgot", "Wiki", GREEN, ""),
        # An address that leads nowhere is that of nobody, and no host is believed that is none of ours.
        (OFFICE, "/_gate/login?next=/reports/..%252Fx", "Office", BLUE, "Login"),
        (OFFICE, "/_gate/login?next=https://wiki.example.com/", "Office", BLUE, "Login"),
        ("other.example.com", "/_gate/login", "Office", BLUE, ""),
        # Signed in: the question whether to sign out, and what is answered in an application's stead.
        (WIKI, "/_gate/nothing", "Wiki", GREEN, ""),
        (OFFICE, "/_gate/logout?next=/reports/", "Reports", PINK, ""),
        (OFFICE, "/reports/1", "Reports", PINK, ""),
        (OFFICE, "/_gate/account", "Office", BLUE, ""),
    ],
)
def test_a_page_looks_like_the_application_that_it_leads_to(
    gate: Whole, host: str, path: str, product: str, color: str, label: str
) -> None:
    browser = Browser(gate.port)
    if path.startswith(("/reports", "/_gate/logout", "/_gate/account")):
        browser.sign_in(OFFICE)
    page = browser.ask(host, path).body
    assert title(page) == product
    if host in (OFFICE, WIKI):
        assert f"--brand:{color};" in style(browser, host, page)
    if label:
        assert f">{label}</label>" in page


def test_a_wrong_password_is_told_in_the_same_look(gate: Whole) -> None:
    """The form says where it leads, not the address that it is sent to."""
    browser = Browser(gate.port)
    refused = browser.post(OFFICE, "/_gate/login", "login=ada&password=wrong&next=/reports/1")
    assert refused.status == 403 and title(refused.body) == "Reports"


def test_logo_help_and_own_address_are_those_of_the_application(gate: Whole) -> None:
    browser = Browser(gate.port)
    page = browser.ask(WIKI, "/_gate/login").body
    assert 'href="https://help.example.com/wiki"' in page
    found = re.search(r'<link rel="icon" href="([^"]+)"', page)
    assert found is not None
    logo = browser.ask(WIKI, found[1])
    assert (logo.headers["content-type"], logo.body) == ("image/svg+xml", LOGO)
    assert "immutable" in logo.headers["cache-control"]
    other = browser.ask(OFFICE, "/_gate/login").body
    assert found[1] not in other and "help.example.com" not in other
    broken = browser.post(WIKI, "/_gate/login", "login=ada&password=x", Sec_Fetch_Site="same-origin")
    assert f"https://{OFFICE}" not in broken.body


def test_the_dark_shade_of_a_color_of_its_own_is_not_that_of_the_other_color(gate: Whole) -> None:
    browser = Browser(gate.port)
    mine = style(browser, WIKI, browser.ask(WIKI, "/_gate/login").body)
    theirs = style(browser, OFFICE, browser.ask(OFFICE, "/_gate/login").body)
    assert f"--brand:{DARK}" in theirs and f"--brand:{DARK}" not in mine


def test_the_session_script_gets_the_style_of_the_page_that_it_is_in(gate: Whole) -> None:
    browser = Browser(gate.port)
    browser.sign_in(OFFICE)
    asking = {"X-Gatekeeper-Session": "1", "Sec-Fetch-Site": "same-origin"}
    for host, page, color in (
        (OFFICE, f"https://{OFFICE}/orders", BLUE),
        (OFFICE, f"https://{OFFICE}/reports/2026?x=1", PINK),
        (OFFICE, f"https://{WIKI}/", BLUE),  # no page of this host says so
        (OFFICE, "", BLUE),
        (WIKI, "", GREEN),
    ):
        answer = browser.ask(host, "/_gate/session", Referer=page, **asking)
        found = re.search(r'"style":"([^"]+)"', answer.body)
        assert found is not None, answer.body
        assert f"--b:{color};" in browser.ask(host, found[1]).body, page


def test_the_welcome_leads_to_the_help_of_the_application(tmp_path: Path) -> None:
    with branded(tmp_path, welcome=[SLIDE]) as gate:
        browser = Browser(gate.port)
        assert browser.sign_in(WIKI, "/page").headers["location"] == "/_gate/welcome?next=/page"
        slide = browser.ask(WIKI, "/_gate/welcome?next=/page")
        assert "form-action 'self' https://help.example.com" in slide.headers["content-security-policy"]
        ended = browser.post(WIKI, "/_gate/welcome?next=/page", "started=1&next=/page&slide=1")
        assert ended.headers["location"] == "https://help.example.com/wiki"

        gate.add_user("bea")
        other = Browser(gate.port)
        other.sign_in(OFFICE, "/orders", login="bea")
        ended = other.post(OFFICE, "/_gate/welcome?next=/orders", "started=1&next=/orders&slide=1")
        assert ended.headers["location"] == "/orders"
