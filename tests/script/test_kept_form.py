"""A form sent into an ended session, as the person who filled it in sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.script.browser import Browser as Sender
from tests.script.browser import signed_in
from tests.script.person import person
from tests.stack.whole import PASSWORD

pytestmark = pytest.mark.browser


@contextlib.contextmanager
def filled_in(chromium: Browser, folder: Path) -> Iterator[tuple[Page, Sender]]:
    """Pat's page once an order was sent 16 minutes after anything else was done: the one to sign in at."""
    with (
        signed_in(folder, script=False, session={"keep_forms": True}) as sender,
        person(chromium, sender, clock=False) as pat,
    ):
        page = pat.context.new_page()
        page.goto(f"{pat.address}/orders/new")
        fields = {"customer": "Tea & Co", "article": "Kettle", "quantity": "3", "price": "19.90"}
        for field, value in fields.items():
            page.locator(f"input[name={field}]").fill(value)
        sender.clock.forward(960)
        page.get_by_role("button", name="Create order").click()
        expect(page.get_by_text("is kept for 15 minutes")).to_be_visible()
        yield page, sender


def sign_in(page: Page, login: str) -> None:
    page.locator("input[name=login]").fill(login)
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/_gate/kept")


def orders_of_tea(page: Page, sender: Sender) -> int:
    page.goto(f"http://{sender.gate.host}/orders?q=Tea")
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    return page.get_by_role("cell", name="Tea & Co", exact=True).count()


def test_it_is_shown_and_sent_once(chromium: Browser, tmp_path: Path) -> None:
    with filled_in(chromium, tmp_path) as (page, sender):
        sign_in(page, "pat")
        expect(page.get_by_role("heading", name="Your form was kept")).to_be_visible()
        expect(page.get_by_role("heading", name="/orders")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="customer")).to_be_visible()
        expect(page.get_by_text("Kettle")).to_have_count(0)
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_text("59.70")).to_be_visible()  # the application's own answer, at its own address
        assert "/_gate/" not in page.url
        page.go_back()
        page.goto(f"http://{sender.gate.host}/_gate/kept")
        expect(page.get_by_role("heading", name="No form is kept")).to_be_visible()
        assert orders_of_tea(page, sender) == 1


def test_discarded_it_is_never_sent(chromium: Browser, tmp_path: Path) -> None:
    with filled_in(chromium, tmp_path) as (page, sender):
        sign_in(page, "pat")
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_text("The form was discarded")).to_be_visible()
        expect(page.get_by_role("button", name="Send", exact=True)).to_have_count(0)
        assert orders_of_tea(page, sender) == 0


def test_somebody_else_who_signs_in_there_does_not_see_it(chromium: Browser, tmp_path: Path) -> None:
    with filled_in(chromium, tmp_path) as (page, sender):
        sender.gate.add_user("sam")
        sign_in(page, "sam")
        expect(page.get_by_role("heading", name="No form is kept")).to_be_visible()
        expect(page.get_by_text("customer")).to_have_count(0)
        assert orders_of_tea(page, sender) == 0
