"""Messages: headers that nothing can break out of, and texts for every mail program."""

from __future__ import annotations

import asyncio
import re
import stat
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gatekeeper.mail.directory import DirectoryTransport
from gatekeeper.mail.kinds import SPECS, MailKind
from gatekeeper.mail.message import BadAddress, Mailbox
from gatekeeper.mail.templates import Facts
from gatekeeper.mail.transport import Letter, NotNow
from tests.mail.support import LINK, PASSWORD, START, composer

VALUES = {"link": LINK, "password": PASSWORD, "days": "14", "user_agent": "x", "change": "added"}
INJECTED = "Pat\r\nBcc: evil@example.com\r\n\r\n<b>x</b>\u2028y"


def facts(kind: MailKind, *, login: str = "pat", name: str = "Pat Example", **values: str) -> Facts:
    known = {key: VALUES[key] for key in SPECS[kind].needs | SPECS[kind].may | {"link"}}
    return Facts(login, name, {**known, **values}, START, START + 3600)


def made(kind: MailKind = MailKind.RECOVERY, *, product: str = "Acme", **values: str) -> Letter:
    return composer(product).compose(
        kind, facts(kind, **values), "pat@example.com", message_id="m", now=START
    )


def parsed(letter: Letter) -> EmailMessage:
    return BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(letter.data)


def part(letter: Letter, kind: str) -> str:
    body = parsed(letter).get_body((kind,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("kind", list(MailKind))
def test_every_kind_says_in_both_versions_what_it_is_for(kind: MailKind) -> None:
    letter = made(kind)
    for version in ("plain", "html"):
        text = part(letter, version)
        assert "Pat Example" in text
        assert "Acme" in text
        assert "{" not in text.split("</style>")[-1]
        for name in SPECS[kind].needs & {"link", "password"}:
            assert VALUES[name] in text


@pytest.mark.parametrize("kind", [kind for kind in MailKind if "link" in SPECS[kind].needs])
def test_the_html_has_a_button_and_the_plain_link(kind: MailKind) -> None:
    links: list[str] = []

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "img", "form", "link", "iframe"}  # nothing is fetched, nothing runs
            links.extend(value or "" for name, value in attrs if name == "href")

    html = part(made(kind), "html")
    Finder().feed(html)
    assert links == [LINK, LINK]
    assert f">{LINK}</a>" in html


def test_the_link_stands_on_a_line_of_its_own_in_the_text() -> None:
    assert LINK in part(made(), "plain").splitlines()


@pytest.mark.parametrize("kind", list(MailKind))
def test_no_value_can_add_a_header_or_markup(kind: MailKind) -> None:
    hostile = dict.fromkeys(("user_agent", "client", "change", "when"), INJECTED)
    letter = made(kind, product=INJECTED, login=INJECTED, name=INJECTED, **hostile)
    message = parsed(letter)
    assert set(message.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "MIME-Version",
        "Content-Type",
        "Content-Language",
    }
    assert message["To"].addresses[0].addr_spec == "pat@example.com"
    assert len(message["To"].addresses) == 1
    assert "<b>" not in part(letter, "html")
    assert not re.search(r"^Bcc:", part(letter, "plain"), re.MULTILINE)


@pytest.mark.parametrize(
    "address",
    [
        "pat@example.com\r\nBcc: evil@example.com",
        "pat@example.com\nDATA",
        "pat@example.com> SIZE=1",
        "pat@example.com,evil@example.com",
        "pat@example.com evil@example.com",
        '"pat"@example.com',
        "pat",
        "@example.com",
        "pat@",
        "pat@.example.com",
        "pat@" + "a" * 64 + ".example.com",
    ],
)
def test_an_address_is_one_address(address: str) -> None:
    with pytest.raises(BadAddress):
        Mailbox.make(address)


def test_names_that_are_not_ascii_are_encoded_and_come_out_right() -> None:
    letter = made(name="Jörg, »Chef« 山田", product="Büro")
    assert letter.data.isascii()
    assert not letter.utf8
    assert parsed(letter)["To"].addresses[0].display_name == "Jörg, »Chef« 山田"
    assert parsed(made(MailKind.INVITATION, product="Büro"))["Subject"] == "Your account for Büro"


def test_a_mail_says_that_a_machine_sent_it_and_when() -> None:
    message = parsed(made())
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<m@example.com>"
    assert message["Date"].datetime.timestamp() == START


def test_lines_are_as_short_as_smtp_wants_them() -> None:
    letter = made(name="x" * 200, client="y" * 5000)
    assert max(map(len, letter.data.split(b"\r\n"))) <= 998
    assert b"\n" not in letter.data.replace(b"\r\n", b"")


def test_a_browser_is_named_in_our_words_alone() -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/140.0 see https://evil.example.com"
    for version in ("plain", "html"):
        text = part(made(MailKind.NEW_DEVICE, user_agent=agent), version)
        assert "Firefox on Windows" in text
        assert "evil" not in text


def test_the_day_of_expiry_does_not_move_while_the_mail_waits() -> None:
    assert "2027-01-29" in part(made(MailKind.PASSWORD_EXPIRES), "plain")
    said = part(made(MailKind.PASSWORD_EXPIRES, when="2027-02-03T08:00:00+00:00"), "plain")
    assert "2027-02-03" in said


def test_one_file_of_the_operators_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail/recovery.txt").write_text("Ours: {{ link }}")
    kind = MailKind.RECOVERY
    letter = composer(override=tmp_path).compose(
        kind, facts(kind), "pat@example.com", message_id="m", now=START
    )
    assert part(letter, "plain").strip() == f"Ours: {LINK}"
    assert "Reset password" in part(letter, "html")


def test_the_operators_colours_are_those_of_the_button() -> None:
    kind = MailKind.RECOVERY
    branded = composer(colors={"brand": "#123456"})
    letter = branded.compose(kind, facts(kind), "pat@example.com", message_id="m", now=START)
    assert 'bgcolor="#123456"' in part(letter, "html")


def test_a_mail_in_a_folder_is_whole_private_and_there_once(tmp_path: Path) -> None:
    folder = tmp_path / "later/mails"
    transport, letter = DirectoryTransport(folder), made()
    asyncio.run(transport.send(letter))
    asyncio.run(transport.send(letter))
    (path,) = folder.iterdir()
    assert path.suffix == ".eml"
    assert path.read_bytes() == letter.data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotNow):
        asyncio.run(DirectoryTransport(tmp_path / "file/mails").send(made()))
