"""Reading posted forms strictly."""

from __future__ import annotations

import pytest

from tests.pages.support import ORIGIN, Browser, House, hidden, run

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"login=a&login=b", FORM, 400),
        (b"login=a&lo%67in=a", FORM, 400),
        (b"login=%ff", FORM, 400),
        (b"login=%c0%af", FORM, 400),
        (b"login=a%00b", FORM, 400),
        (b"login", FORM, 403),
        (b"&".join(b"f%d=1" % number for number in range(41)), FORM, 400),
        (b"login=" + b"x" * (64 * 1024 - 6), FORM, 403),
        (b"login=" + b"x" * (64 * 1024 - 5), FORM, 413),
        (b'{"login":"a"}', "application/json", 415),
        (b"login=a", "multipart/form-data; boundary=x", 415),
        (b"login=a", "text/plain", 415),
        (b"login=a", "", 415),
        (b"", FORM, 403),
        (b"login=a", FORM.upper() + "; charset=utf-8", 403),
    ],
)
def test_what_is_no_plain_form_is_refused_before_anything_is_looked_at(
    body: bytes, content_type: str, status: int
) -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        await browser.get("/_gate/login")
        headers = {"content-type": content_type, "origin": ORIGIN, "sec-fetch-site": "same-origin"}
        answer = await browser.http.post("/_gate/login", content=body, headers=headers)
        assert answer.status_code == status
        assert not house.sign_in.asked and not house.reported

    run(story)


def test_text_arrives_as_it_was_typed() -> None:
    async def story() -> None:
        browser = Browser(House())
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        answer = await browser.post(
            "/_gate/login", {"csrf": csrf, "login": "Zoë + 東京 & =%41", "password": "x"}
        )
        assert 'value="Zoë + 東京 &amp; =%41"' in answer.text

    run(story)


def test_a_form_sent_in_pieces_is_read_whole() -> None:
    async def story() -> None:
        house = House()
        received: list[dict[str, object]] = [
            {"type": "http.request", "body": b"login=ada", "more_body": True},
            {"type": "http.request", "body": b"%40exam", "more_body": True},
            {"type": "http.request", "body": b"ple.com"},
        ]
        page = await _post(house, received)
        assert b'value="ada@example.com"' in page

    run(story)


def test_a_browser_that_goes_away_is_no_failure() -> None:
    async def story() -> None:
        house = House()
        received: list[dict[str, object]] = [
            {"type": "http.request", "body": b"login=ada", "more_body": True},
            {"type": "http.disconnect"},
        ]
        assert await _post(house, received) == b""
        assert not house.reported

    run(story)


async def _post(house: House, messages: list[dict[str, object]]) -> bytes:
    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/_gate/login",
        "raw_path": b"/_gate/login",
        "query_string": b"",
        "headers": [(b"host", b"gate.example.com"), (b"content-type", FORM.encode())],
    }
    await house(scope, receive, send)
    return b"".join(sent)
