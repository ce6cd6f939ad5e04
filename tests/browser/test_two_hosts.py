"""Two hosts with a face each, in Chromium over https: one sign-in under a shared domain, or one for each."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gatekeeper.build import create_app
from gatekeeper.settings import make_settings
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.stack.whole import PASSWORD, running
from tests.wall.recording import Recording, recording

PINK, GREEN = "rgb(157, 23, 77)", "rgb(22, 101, 52)"


class Hosts(NamedTuple):
    a: str
    b: str
    b_heard: Recording


@contextlib.contextmanager
def two_hosts(folder: Path, **session: Any) -> Iterator[Hosts]:
    issued = trustme.CA().issue_cert("a.example.com", "b.example.com")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    with recording() as first, recording() as second, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        upstream = [
            {
                "name": "orders",
                "url": f"http://127.0.0.1:{first.port}",
                "branding": {"product_name": "Orders", "color": "#9d174d"},
            },
            {
                "name": "wiki",
                "url": f"http://127.0.0.1:{second.port}",
                "at": f"b.example.com:{port}",
                "branding": {"product_name": "Wiki", "color": "#166534"},
            },
        ]
        settings = {
            "public_url": f"https://a.example.com:{port}",
            "tls": {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")},
            "upstream": upstream,
            "session": session,
            "data_dir": str(folder),
            "log": {"level": "warning"},
        }
        with running(create_app(make_settings(settings)), listener) as gate:
            gate.add_user("ada")
            yield Hosts(f"https://a.example.com:{port}", f"https://b.example.com:{port}", second)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One that takes every *.example.com for this machine, and any certificate for theirs."""
    ways = ["--host-resolver-rules=MAP *.example.com 127.0.0.1", "--ignore-certificate-errors"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *ways])
        yield chromium
        chromium.close()


def _expect_sign_in(page: Page, product: str, color: str) -> None:
    expect(page).to_have_title(f"Sign in – {product}")
    expect(page.locator(".brand")).to_contain_text(product)
    button = page.get_by_role("button", name="Sign in", exact=True)
    expect(button).to_have_css("background-color", color)


def _sign_in(page: Page) -> None:
    page.get_by_label("User login").fill("ada")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _expect_application(page: Page, address: str) -> None:
    """It answers with the target that it was asked for."""
    page.wait_for_url(address)
    expect(page.locator("body")).to_have_text(re.sub(r"https://[^/]+", "", address).partition("#")[0])


def test_one_sign_in_opens_both_hosts_and_signing_out_at_one_closes_both(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    with two_hosts(tmp_path, cookie_domain="example.com") as hosts:
        deep_a, deep_b = f"{hosts.a}/orders/7?sort=date&page=2#total", f"{hosts.b}/page?q=a%20b&c=%C3%A9"
        page.goto(deep_b)
        _expect_sign_in(page, "Wiki", GREEN)
        page.screenshot(path=tmp_path / "wiki.png")
        page.goto(deep_a)
        _expect_sign_in(page, "Orders", PINK)
        page.screenshot(path=tmp_path / "orders.png")
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=tmp_path / "orders-dark.png")
        page.emulate_media(color_scheme="light")
        _sign_in(page)
        _expect_application(page, deep_a)

        page.goto(deep_b)
        _expect_application(page, deep_b)
        arrived = next(one for one in hosts.b_heard.arrived if one.target.startswith(b"/page"))
        head = arrived.head.lower()
        assert b"\r\nremote-user: ada\r\n" in head and b"\r\ncookie:" not in head
        for host, product in ((hosts.a, "Orders"), (hosts.b, "Wiki")):
            page.goto(f"{host}/_gate/account")
            expect(page).to_have_title(re.compile(f"{product}$"))

        page.goto(f"{hosts.b}/_gate/logout")
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page).to_have_title(re.compile("Wiki$"))
        expect(page.get_by_role("heading", name="You have signed out")).to_be_visible()
        page.goto(deep_a)
        _expect_sign_in(page, "Orders", PINK)
        page.goto(deep_b)
        _expect_sign_in(page, "Wiki", GREEN)
        _sign_in(page)
        _expect_application(page, deep_b)
        page.goto(deep_a)
        _expect_application(page, deep_a)


def test_without_a_shared_domain_each_host_asks_and_each_ends_alone(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    with two_hosts(tmp_path) as hosts:
        page.goto(f"{hosts.a}/orders?a=1")
        _sign_in(page)
        _expect_application(page, f"{hosts.a}/orders?a=1")
        page.goto(f"{hosts.b}/page?b=2")
        _expect_sign_in(page, "Wiki", GREEN)
        _sign_in(page)
        _expect_application(page, f"{hosts.b}/page?b=2")

        page.goto(f"{hosts.b}/_gate/logout")
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.goto(f"{hosts.a}/orders?a=1")
        _expect_application(page, f"{hosts.a}/orders?a=1")
        page.goto(f"{hosts.b}/page")
        _expect_sign_in(page, "Wiki", GREEN)
