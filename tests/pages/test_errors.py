"""What a person sees instead of the page asked for."""

from __future__ import annotations

import pytest

from gatekeeper.core.context import Refusal
from tests.pages.support import Browser, House, hidden, run


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (400, "path_form", "This address does not work"),
        (403, "forbidden", "You may not open this page"),
        (404, "not_found", "There is no such page"),
        (413, "body_too_large", "That was too much data"),
        (421, "unknown_host", "This is not the right address"),
        (429, "rate_limited", "Too many attempts"),
        (500, "internal_error", "Internal server error"),
        (502, "upstream_unreachable", "The application cannot be reached"),
        (502, "upstream_bad_answer", "gave no usable answer"),
        (503, "store_unavailable", "Sign-in is not available for a moment"),
        (503, "upstream_busy", "Not available for a moment"),
        (504, "upstream_timeout", "The application takes too long"),
        (418, "teapot", "This request was refused"),
    ],
)
def test_every_refusal_has_its_status_words_and_reference(status: int, reason: str, words: str) -> None:
    async def story() -> None:
        house = House(refusals={"/x": Refusal(status, reason, retry_after=7 if status == 503 else None)})
        page = await Browser(house).get("/x")
        assert page.status_code == status
        assert words in page.text
        assert "<code>req-1</code>" in page.text
        assert page.headers.get("retry-after") == ("7" if status == 503 else None)
        assert page.headers["cache-control"] == "no-store"

    run(story)


def test_a_target_that_could_not_be_read_is_answered_without_facts() -> None:
    async def story() -> None:
        house = House(refusals={"/x": Refusal(400, "path_form")}, unreadable=True)
        assert (await Browser(house).get("/x")).status_code == 400
        posted = await Browser(house).post("/x", {"a": "b"})
        assert posted.status_code == 400

    run(story)


def test_a_forbidden_page_says_who_you_are_and_lets_you_be_someone_else() -> None:
    async def story() -> None:
        house = House(refusals={"/audit": Refusal(403, "forbidden")})
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/audit?year=2026&x=%22%3E")
        assert "<strong>Ada</strong> (ada@example.com)" in page.text
        assert 'href="/_gate/account"' in page.text
        assert hidden(page, "next") == "/audit?year=2026&amp;x=%22%3E"
        answer = await browser.post(
            "/_gate/logout", {"csrf": hidden(page, "csrf"), "then": "login", "next": "/audit"}
        )
        assert answer.headers["location"] == "/_gate/login?next=/audit"

    run(story)


def test_trying_again_is_offered_only_where_it_is_harmless() -> None:
    async def story() -> None:
        house = House(refusals={"/slow": Refusal(504, "upstream_timeout")})
        browser = Browser(house)
        assert '<a class="btn p" href="/slow?a=1">Try again</a>' in (await browser.get("/slow?a=1")).text
        assert "Try again" not in (await browser.post("/slow", {"a": "b"})).text
        assert "Try again" not in (await browser.get("/_gate/nothing")).text
        house.refusals["/gone"] = Refusal(404, "not_found")
        assert "Try again" not in (await browser.get("/gone")).text

    run(story)


def test_an_unexpected_failure_is_reported_and_shows_nothing_of_itself() -> None:
    async def story() -> None:
        house = House()
        house.sign_in.fails_with = RuntimeError("the database password is swordfish")
        answer = await Browser(house).sign_in()
        assert answer.status_code == 500
        assert "Internal server error" in answer.text and "<code>req-1</code>" in answer.text
        assert "swordfish" not in answer.text and "Traceback" not in answer.text
        ((error, request_id),) = house.reported
        assert isinstance(error, RuntimeError) and request_id == "req-1"

    run(story)


@pytest.mark.parametrize("path", ["/_gate", "/_gate/", "/_gate/nothing", "/_gate/login/"])
def test_an_unknown_page_is_404_and_never_a_redirect(path: str) -> None:
    async def story() -> None:
        page = await Browser(House()).get(path)
        assert page.status_code == 404 and "There is no such page" in page.text

    run(story)


def test_a_wrong_method_is_405_with_our_page() -> None:
    async def story() -> None:
        page = await Browser(House()).http.delete("/_gate/signed-out")
        assert page.status_code == 405
        assert page.headers["allow"] in ("GET, HEAD", "HEAD, GET")
        assert "This does not work that way" in page.text

    run(story)
