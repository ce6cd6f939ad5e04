"""The demo's mailbox: shows what lies in a directory, and runs nothing of it."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from gatekeeper.demo.mailbox import make_mailbox
from gatekeeper.demo.serving import serving


def put(folder: Path, name: str, subject: str, when: int) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "gate@example.com", "ann@example.com", subject
    message.set_content("Hello,\nhttp://127.0.0.1:8080/x?a=1&b=2\n<b>no markup</b>")
    message.add_alternative("<p>Hello</p><script>alert(1)</script>", subtype="html")
    path = folder / f"{name}.eml"
    path.write_bytes(message.as_bytes())
    os.utime(path, (when, when))


def get(folder: Path, path: str, host: str = "127.0.0.1") -> httpx.Response:
    with serving(make_mailbox(folder)) as port:
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers={"host": host})


def test_a_mailbox_without_a_directory_is_empty(tmp_path: Path) -> None:
    assert "No mail yet." in get(tmp_path / "later", "/").text


def test_lists_the_newest_first(tmp_path: Path) -> None:
    put(tmp_path, "one", "First", 1000)
    put(tmp_path, "two", "Second & last", 2000)
    text = get(tmp_path, "/").text
    assert text.index("Second &amp; last") < text.index("First")


def test_shows_a_mail_with_its_link_and_no_running_markup(tmp_path: Path) -> None:
    put(tmp_path, "one", "First", 1000)
    answer = get(tmp_path, "/one")
    assert '<a href="http://127.0.0.1:8080/x?a=1&amp;b=2"' in answer.text
    assert "<b>no markup" not in answer.text
    assert "<script>" not in answer.text
    assert "<iframe sandbox " in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/none", "/..%2f..%2fetc%2fpasswd", "/%2e%2e"])
def test_shows_nothing_else(tmp_path: Path, path: str) -> None:
    put(tmp_path, "one", "First", 1000)
    assert get(tmp_path, path).status_code in (404, 400)


def test_answers_under_no_other_name(tmp_path: Path) -> None:
    assert get(tmp_path, "/", host="rebound.example.com").status_code == 400
