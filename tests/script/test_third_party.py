"""The session script in two third-party applications that send strict policies of their own."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from gatekeeper.core.session import EndReason
from tests.browser.apps import NOTEBOOK, program
from tests.script.browser import signed_in
from tests.script.person import dialog_of, menu_of, person

pytestmark = pytest.mark.browser

DATASETTE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
MARIMO_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "worker-src 'self' blob:; connect-src 'self' data:; object-src 'none'; base-uri 'self'"
)

_PLUGIN = f"""
from datasette import hookimpl

POLICY = {DATASETTE_POLICY.encode()!r}


@hookimpl
def asgi_wrapper(datasette):
    def wrap(app):
        async def with_policy(scope, receive, send):
            async def sending(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"content-security-policy", POLICY)]
                await send(message)

            await app(scope, receive, sending)

        return with_policy

    return wrap
"""

_SERVE = f"""
import sys

import marimo
import uvicorn

POLICY = {MARIMO_POLICY.encode()!r}
notebook = marimo.create_asgi_app().with_app(path="/", root="notebook.py").build()


async def with_policy(scope, receive, send):
    async def sending(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"content-security-policy", POLICY)]
        await send(message)

    await notebook(scope, receive, sending)


uvicorn.run(with_policy, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@contextlib.contextmanager
def datasette(folder: Path) -> Iterator[int]:
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("create table orders (id integer primary key, customer text)")
        db.execute("insert into orders (customer) values ('Tea & Co')")
        db.commit()
    (folder / "plugins").mkdir()
    (folder / "plugins" / "policy.py").write_text(_PLUGIN)
    options = ("--plugins-dir", "plugins", "--host", "127.0.0.1", "--port", "{port}")
    with program(folder, "datasette", "serve", "shop.db", *options) as port:
        yield port


@contextlib.contextmanager
def marimo(folder: Path) -> Iterator[int]:
    (folder / "notebook.py").write_text(NOTEBOOK)
    (folder / "serve.py").write_text(_SERVE)
    with program(folder, "python", "serve.py", "{port}") as port:
        yield port


def write_in_datasette(page: Page) -> Callable[[], None]:
    field = page.locator("input[name=_filter_value]")
    field.fill("Tea")
    return lambda: expect(field).to_have_value("Tea")


def write_in_marimo(page: Page) -> Callable[[], None]:
    field = page.get_by_label("Your name")
    field.fill("Ann")
    field.press("Enter")
    expect(page.get_by_text("Greetings, Ann!")).to_be_visible(timeout=30_000)
    return lambda: expect(field).to_have_value("Ann")


@pytest.mark.parametrize(
    ("serve", "path", "write"),
    [
        pytest.param(datasette, "/shop/orders", write_in_datasette, id="datasette"),
        pytest.param(marimo, "/", write_in_marimo, id="marimo", marks=pytest.mark.slow),
    ],
)
def test_everything_works_under_its_own_policy(
    chromium: Browser,
    tmp_path: Path,
    serve: Callable[[Path], AbstractContextManager[int]],
    path: str,
    write: Callable[[Page], Callable[[], None]],
) -> None:
    with (
        serve(tmp_path) as port,
        signed_in(tmp_path / "gate", port=port) as sender,
        person(chromium, sender) as pat,
    ):
        page, other = pat.open(path), pat.open(path)
        violations: list[str] = []

        def heard(message: ConsoleMessage) -> None:
            if "session.js" in message.text or "session.js" in message.location["url"]:
                violations.append(message.text)

        page.on("console", heard)
        expect_written = write(page)
        menu_of(page).click()
        expect(page.get_by_role("menuitem", name="Account")).to_be_focused()
        assert menu_of(page).evaluate("element => getComputedStyle(element).cursor") == "pointer"
        page.keyboard.press("Escape")
        pat.later(35)
        page.wait_for_timeout(2_000)
        pat.later(790)
        for tab in (page, other):
            expect(dialog_of(tab, "You are about to be signed out")).to_be_visible()
        page.keyboard.press("Escape")
        for tab in (page, other):
            expect(dialog_of(tab, "You are about to be signed out")).to_have_count(0)
        expect_written()

        pat.end(EndReason.REVOKED)
        pat.later(9)
        for tab in (page, other):
            expect(dialog_of(tab, "You are signed out")).to_be_visible(timeout=10_000)
        pat.sign_in_again(page)
        for tab in (page, other):
            expect(dialog_of(tab, "You are signed out")).to_have_count(0)
        expect_written()

        menu_of(page).click()
        page.get_by_role("menuitem", name="Logout").click()
        page.wait_for_url("**/_gate/signed-out")
        expect(dialog_of(other, "You are signed out")).to_be_visible()
        assert violations == []
