"""The application, the mail server and the clock, asked over real sockets."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
import trustme

from gatekeeper.doctor.certificate import judge_certificate
from gatekeeper.doctor.clock import ClockCheck, kernel_synchronised
from gatekeeper.doctor.http import HttpAnswer, NoAnswer, ask
from gatekeeper.doctor.mail import DirectoryCheck, NoMailCheck, SmtpCheck
from gatekeeper.doctor.protocol import Finding, Level
from gatekeeper.doctor.upstream import UpstreamCheck
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.origin import Origin
from tests.doctor.support import NOW, answering, levels, run, texts
from tests.mail.support import Sink, smtp
from tests.stack.conftest import free_port


def upstream(url: str, ca_file: Path | None = None) -> UpstreamCheck:
    origin = Origin.parse(url)
    context = make_ssl_context(ca_file) if origin.tls else None
    return UpstreamCheck(origin, host="app.example.com", timeout=0.5, clock=time.time, ssl_context=context)


def test_an_application_that_answers_is_fine_whatever_it_says_to_strangers() -> None:
    for status, level in ((200, Level.OK), (404, Level.OK), (503, Level.WARN)):
        with answering(status=status) as port:
            found = run(upstream(f"http://127.0.0.1:{port}"))
        assert levels(found) == [level] and str(status) in found[0].text


@pytest.mark.parametrize(
    ("said", "words"), [(b"", "no answer in 0.5 s"), (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP")]
)
def test_an_application_that_does_not_answer_is_told_apart(said: bytes, words: str) -> None:
    with answering(said) as port:
        found = run(upstream(f"http://127.0.0.1:{port}"))
    assert levels(found) == [Level.FAIL] and words in found[0].text
    assert found[0].advice


def test_nobody_there() -> None:
    found = run(upstream(f"http://127.0.0.1:{free_port()}"))
    assert levels(found) == [Level.FAIL] and "is the application running" in found[0].advice


def test_tls_is_verified_and_its_end_foreseen(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with answering(tls=context) as port:
        good = run(upstream(f"https://localhost:{port}", tmp_path / "ca.pem"))
        stranger = run(upstream(f"https://localhost:{port}"))
        misnamed = run(upstream(f"https://127.0.0.1:{port}", tmp_path / "ca.pem"))
    assert levels(good) == [Level.OK, Level.OK] and "certificate is valid" in good[1].text
    for found in (stranger, misnamed):
        assert levels(found) == [Level.FAIL] and "TLS" in found[0].text and "ca_file" in found[0].advice


@pytest.mark.parametrize(
    ("days", "level"), [(90, Level.OK), (10, Level.WARN), (1, Level.FAIL), (-3, Level.FAIL)]
)
def test_a_certificate_near_its_end_is_announced(days: int, level: Level) -> None:
    (found,) = judge_certificate(NOW + days * 86_400, NOW, whose="the public")
    assert found.level is level


def judged(off: float, synchronised: bool | None = None) -> list[Finding]:
    async def other() -> HttpAnswer:
        from email.utils import formatdate

        return HttpAnswer(200, {"date": formatdate(NOW + off, usegmt=True)})

    return run(ClockCheck({"the application": other}, clock=lambda: NOW, synchronised=lambda: synchronised))


@pytest.mark.parametrize(
    ("off", "level", "words"),
    [
        (0, Level.OK, "agrees"),
        (3, Level.OK, "agrees"),
        (12, Level.WARN, "behind"),
        (-12, Level.WARN, "ahead"),
        (90, Level.FAIL, "behind"),
        (-3600, Level.FAIL, "ahead"),
    ],
)
def test_the_clock_is_held_against_others(off: float, level: Level, words: str) -> None:
    (found,) = judged(off)
    assert found.level is level and words in found.text


def test_with_nobody_to_ask_the_kernel_is_believed() -> None:
    async def silent() -> HttpAnswer:
        raise NoAnswer("nobody")

    async def dateless() -> HttpAnswer:
        return HttpAnswer(200)

    for synchronised, level in ((True, Level.OK), (False, Level.WARN), (None, Level.WARN)):
        others = {"a": silent, "b": dateless}
        check = ClockCheck(others, clock=lambda: NOW, synchronised=lambda answer=synchronised: answer)  # type: ignore[misc]
        assert levels(run(check)) == [level]
    assert kernel_synchronised() in (True, False, None)


def test_the_date_of_a_real_answer_is_read() -> None:
    with answering(date=NOW) as port:
        answer = asyncio.run(ask(Origin.parse(f"http://127.0.0.1:{port}"), "/", host="x", timeout=5))
    assert answer.date == NOW
    assert answer.local_address == "127.0.0.1"


def mail(port: int, **options: object) -> SmtpCheck:
    signs_in = "username" in options
    return SmtpCheck(smtp(port, **options), f"127.0.0.1:{port}", signs_in=signs_in, readable=False)


def test_a_mail_server_is_tried_without_a_mail() -> None:
    async def story() -> tuple[list[list[Finding]], Sink]:
        sink, found = Sink(), []
        async with sink.listening(auth_require_tls=False) as port:
            found.append(await mail(port).run())
            found.append(await mail(port, username="gate", password="right").run())
            found.append(await mail(port, username="gate", password="wrong-password").run())
            found.append(await mail(port, tls="starttls").run())
        found.append(await mail(port).run())
        return found, sink

    (plain, right, wrong, no_tls, gone), sink = asyncio.run(story())
    assert levels(plain) == levels(right) == [Level.OK]
    assert "signed in" in right[0].text
    assert levels(wrong) == levels(no_tls) == levels(gone) == [Level.FAIL]
    assert "refused our username and password" in wrong[0].text and "wrong-password" not in texts(wrong)
    assert sink.mails == []


def test_mail_without_encryption_a_folder_or_none_is_said(tmp_path: Path) -> None:
    async def story() -> list[Finding]:
        async with Sink().listening() as port:
            check = SmtpCheck(smtp(port), "mail:25", signs_in=False, readable=True)
            return list(await check.run())

    assert levels(asyncio.run(story())) == [Level.WARN]
    assert levels(run(NoMailCheck())) == [Level.WARN]
    assert (
        levels(run(DirectoryCheck(tmp_path))) == levels(run(DirectoryCheck(tmp_path / "new"))) == [Level.OK]
    )
