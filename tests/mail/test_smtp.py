"""Encryption, sign-in and addresses, with a real mail server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from gatekeeper.mail.kinds import MailKind
from gatekeeper.mail.templates import Facts
from gatekeeper.mail.transport import Letter, NotNow, Refused
from tests.mail.support import LINK, START, Sink, composer, smtp

FACTS = Facts("pat", "Pat Example", {"link": LINK}, START, START + 60)


def letter(recipient: str = "pat@example.com") -> Letter:
    return composer().compose(MailKind.RECOVERY, FACTS, recipient, message_id="m", now=START)


class Authority:
    """A certificate authority of our own, and a mail server's certificate for `name`."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self.server)


def run(story: Callable[[Sink], Awaitable[None]]) -> Sink:
    async def told() -> Sink:
        sink = Sink()
        await story(sink)
        return sink

    return asyncio.run(told())


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_verified_server_gets_the_password_and_the_mail(tmp_path: Path, tls: str) -> None:
    authority = Authority(tmp_path)

    async def story(sink: Sink) -> None:
        async with sink.listening(
            tls=authority.server, implicit=tls == "tls", auth_require_tls=False
        ) as port:
            await smtp(
                port, host="localhost", tls=tls, ca_file=authority.ca_file, username="gate", password="right"
            ).send(letter())

    sink = run(story)
    assert len(sink.mails) == 1
    assert sink.logins == [b"right"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_another_server_gets_nothing(tmp_path: Path, tls: str, wrong: str) -> None:
    authority = Authority(tmp_path, "elsewhere.example.com" if wrong == "name" else "localhost")
    known = authority.ca_file if wrong == "name" else None

    async def story(sink: Sink) -> None:
        async with sink.listening(tls=authority.server, implicit=tls == "tls") as port:
            with pytest.raises(NotNow):
                await smtp(
                    port, host="localhost", tls=tls, ca_file=known, username="gate", password="right"
                ).send(letter())

    sink = run(story)
    assert (sink.mails, sink.logins) == ([], [])


def test_a_server_that_offers_no_encryption_gets_nothing() -> None:
    """As somebody on the way would make it look (STRIPTLS)."""

    async def story(sink: Sink) -> None:
        async with sink.listening(auth_require_tls=False) as port:
            with pytest.raises(NotNow, match="STARTTLS"):
                await smtp(port, tls="starttls", username="gate", password="right").send(letter())

    sink = run(story)
    assert (sink.mails, sink.logins) == ([], [])


def test_a_domain_that_is_not_ascii_needs_nothing_of_the_server() -> None:
    async def story(sink: Sink) -> None:
        async with sink.listening(enable_SMTPUTF8=False) as port:
            await smtp(port).send(letter("pat@bücher.example"))

    assert run(story).mails[0]["To"] == "Pat Example <pat@xn--bcher-kva.example>"


def test_a_name_before_the_at_that_is_not_ascii_needs_smtputf8() -> None:
    async def story(sink: Sink) -> None:
        async with sink.listening() as port:
            await smtp(port).send(letter("jörg@example.com"))
        async with sink.listening(enable_SMTPUTF8=False) as port:
            with pytest.raises(Refused, match="SMTPUTF8"):
                await smtp(port).send(letter("jörg@example.com"))

    sink = run(story)
    assert sink.mails[0]["To"] == "Pat Example <jörg@example.com>"
    assert "SMTPUTF8" in sink.options[0]
