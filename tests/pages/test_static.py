"""Style, script and logo; headers; where templates come from."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import jinja2
import pytest

from gatekeeper.core.context import Refusal
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.services import Branding
from gatekeeper.pages.templates import TemplateFolders, Templates
from tests.pages.support import Browser, House, run


def _linked(text: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/_gate/static/[^"]+)"', text)


def test_files_are_kept_for_a_year_under_the_hash_of_their_content() -> None:
    async def story() -> None:
        browser = Browser(House())
        page = await browser.get("/_gate/login")
        links = _linked(page.text)
        assert {link.rsplit("/", 1)[1] for link in links} == {"gk.css", "gk.js", "logo.svg"}
        total = len(gzip.compress(page.content))
        for link in links:
            file = await browser.get(link)
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.headers["content-encoding"] == "gzip"
            total += int(file.headers["content-length"])
        assert total < 20 * 1024

    run(story)


def test_an_older_pages_files_are_served_but_not_kept() -> None:
    async def story() -> None:
        answer = await Browser(House()).get("/_gate/static/0123456789abcdef/gk.css")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")

    run(story)


@pytest.mark.parametrize("accept", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000"])
def test_whoever_does_not_take_gzip_gets_plain_text(accept: str) -> None:
    async def story() -> None:
        browser = Browser(House())
        link = _linked((await browser.get("/_gate/login")).text)[1]
        answer = await browser.get(link, accept_encoding=accept)
        assert "content-encoding" not in answer.headers and answer.headers["vary"] == "accept-encoding"

    run(story)


@pytest.mark.parametrize("name", ["nothing.css", "..%2fbase.html", "gk.css%00", "%2e%2e"])
def test_nothing_else_is_served(name: str) -> None:
    async def story() -> None:
        answer = await Browser(House(unreadable=True)).http.get("/_gate/static/x/gk.css/../" + name)
        assert answer.status_code == 404

    run(story)


def test_the_operators_colours_and_logo_come_as_files_and_change_the_hash() -> None:
    async def story() -> None:
        plain = Browser(House())
        branding = Branding(
            logo=b"\x89PNG", logo_type="image/png", colors={"brand": "#006600", "dark_brand": "#88ff88"}
        )
        own = Browser(House(branding=branding))
        before, page = await plain.get("/_gate/login"), await own.get("/_gate/login")
        assert not set(_linked(before.text)) & set(_linked(page.text))
        css = await own.get(next(link for link in _linked(page.text) if link.endswith(".css")))
        assert "{:root{--brand:#006600;}}" in css.text and "{:root{--brand:#88ff88;}}" in css.text
        logo = await own.get(next(link for link in _linked(page.text) if link.endswith("logo.png")))
        assert (logo.content, logo.headers["content-type"]) == (b"\x89PNG", "image/png")

    run(story)


@pytest.mark.parametrize(
    "colors", [{"brand": "red;}body{display:none"}, {"brand": "#fff"}, {"text": "#ffffff"}]
)
def test_a_colour_is_six_hexadecimal_digits(colors: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a colour"):
        House(branding=Branding(colors=colors))


@pytest.mark.parametrize(
    "path", ["/_gate/login", "/_gate/setup", "/_gate/signed-out", "/_gate/nothing", "/down"]
)
def test_every_page_carries_the_headers_and_nothing_inline(path: str) -> None:
    async def story() -> None:
        house = House(refusals={"/down": Refusal(502, "upstream_unreachable")})
        page = await Browser(house).get(path)
        policy = page.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        )
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert not re.search(r"<style|<script(?! src=)|\sstyle=|\son[a-z]+=|javascript:", page.text)

    run(story)


def test_head_is_get_without_the_body() -> None:
    async def story() -> None:
        answer = await Browser(House()).http.head("/_gate/login")
        assert (answer.status_code, answer.content) == (200, b"")

    run(story)


def test_single_templates_can_be_replaced_from_any_working_directory(tmp_path: Path) -> None:
    async def story() -> None:
        own = tmp_path / "own"
        own.mkdir()
        (own / "signed-out.html").write_text(
            '{% extends "base.html" %}{% block content %}Farewell{% endblock %}'
        )
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        before = Path.cwd()
        os.chdir(elsewhere)
        try:
            browser = Browser(House(templates_dir=own))
            assert "Farewell" in (await browser.get("/_gate/signed-out")).text
            assert "User login" in (await browser.get("/_gate/login")).text
        finally:
            os.chdir(before)

    run(story)


def test_a_value_that_a_template_lacks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("{{ missing }}")
    templates = Templates(TemplateFolders(tmp_path), Locale("en"), {})
    with pytest.raises(jinja2.UndefinedError):
        templates.render("x.html")


@pytest.mark.parametrize(
    ("code", "direction"), [("en", "ltr"), ("he", "rtl"), ("ar-EG", "rtl"), ("arn", "ltr")]
)
def test_pages_know_which_way_their_language_is_written(code: str, direction: str) -> None:
    async def story() -> None:
        page = await Browser(House(locale=Locale(code))).get("/_gate/login")
        assert f'<html lang="{code}" dir="{direction}">' in page.text

    run(story)


def test_texts_are_translated_in_templates_and_in_messages() -> None:
    class Shouting(type(Locale("en").translations)):  # type: ignore[misc]
        def gettext(self, message: str) -> str:
            return message.upper() if "%(" not in message else message

    async def story() -> None:
        browser = Browser(House(locale=Locale("en", Shouting())))
        assert ">SIGN IN</button>" in (await browser.get("/_gate/login")).text
        assert "THERE IS NO SUCH PAGE" in (await browser.get("/_gate/nothing")).text

    run(story)
