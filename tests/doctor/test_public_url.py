"""public_url, asked through what stands in front: is it us, and does what proxies must hand on arrive?"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper import __version__
from gatekeeper.core import probe
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.doctor.protocol import Finding, Level
from gatekeeper.doctor.public_url import PublicUrlCheck
from tests.doctor.support import answering, levels, listening, run, texts
from tests.stack.conftest import free_port
from tests.stack.whole import whole

SECRET = "f1d0c6c1a6c94c2d8a4b7c0e9d3f5a6b7c8d"
Change = Callable[[bytes], bytes]


def check(url: str, *, secret: str = SECRET, version: str = __version__) -> PublicUrlCheck:
    box = SecretBox([secret], probe.PURPOSE)
    return PublicUrlCheck(url, "/_gate", box, clock=time.time, proxied=True, version=version, timeout=5.0)


@contextlib.contextmanager
def proxy(target: list[int], change: Change) -> Iterator[int]:
    """Passes requests on from a free port to the port in `target`, their heads changed."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", target[0])
        outer.write(change(await reader.readuntil(b"\r\n\r\n")))
        writer.write(await inner.read())
        await writer.drain()
        outer.close()
        writer.close()

    with listening(one) as port:
        yield port


def through(folder: Path, change: Change, **settings: Any) -> list[Finding]:
    """What is found when a proxy that changes heads so stands in front."""
    target: list[int] = []
    with (
        answering() as app,
        proxy(target, change) as front,
        whole(
            folder,
            f"http://127.0.0.1:{app}",
            public_url=f"http://127.0.0.1:{front}",
            secret=SECRET,
            **settings,
        ) as found,
    ):
        target.append(found.port)
        return run(check(f"http://127.0.0.1:{front}"))


def adding(line: bytes) -> Change:
    return lambda head: head.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")


def test_a_proxy_that_hands_everything_on_is_fine(tmp_path: Path) -> None:
    found = through(tmp_path, adding(b"X-Forwarded-For: 192.0.2.7"), trusted_proxies=["127.0.0.1"])
    assert levels(found) == [Level.OK, Level.OK], texts(found)
    assert "192.0.2.7" in found[1].text


def test_a_proxy_that_is_not_listed_is_found_by_what_it_sends(tmp_path: Path) -> None:
    found = through(tmp_path, adding(b"X-Forwarded-For: 192.0.2.7"))
    assert levels(found) == [Level.OK, Level.FAIL]
    assert found[1].advice == "add it to trusted_proxies: [127.0.0.1]"


def test_a_proxy_that_changes_the_host_is_found(tmp_path: Path) -> None:
    def rewrite(head: bytes) -> bytes:
        lines = head.split(b"\r\n")
        return b"\r\n".join(b"Host: inner" if line.startswith(b"Host:") else line for line in lines)

    found = through(tmp_path, rewrite)
    assert Level.FAIL in levels(found) and "421" in texts(found)


def test_another_server_at_that_address_is_not_taken_for_us() -> None:
    with answering() as port:
        found = run(check(f"http://127.0.0.1:{port}"))
    assert levels(found) == [Level.FAIL] and "not by this Gatekeeper" in found[0].text


def test_another_installation_is_not_taken_for_us_and_another_version_is_named(tmp_path: Path) -> None:
    with answering() as app, whole(tmp_path, f"http://127.0.0.1:{app}", secret=SECRET) as found:
        url = f"http://{found.host}"
        stranger = run(check(url, secret="another-" + SECRET))
        older = run(check(url, version="0.0.1"))
    assert levels(stranger) == [Level.FAIL] and "not by this Gatekeeper" in stranger[0].text
    assert Level.WARN in levels(older) and "0.0.1" in texts(older)


def test_nobody_there_and_no_secret_yet() -> None:
    found = run(check(f"http://127.0.0.1:{free_port()}"))
    assert levels(found) == [Level.FAIL] and "gatekeeper serve" in found[0].advice
    none = PublicUrlCheck("http://127.0.0.1:1", "/_gate", None, clock=time.time, proxied=True, version="1")
    assert levels(run(none)) == [Level.WARN]


@pytest.mark.parametrize("query", ["", "?", "?x", "?" + "A" * 2000])
def test_nobody_else_learns_anything(tmp_path: Path, query: str) -> None:
    with (
        answering() as app,
        whole(tmp_path, f"http://127.0.0.1:{app}", secret=SECRET) as found,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", found.port, timeout=10)) as connection,
    ):
        connection.request("GET", "/_gate/doctor" + query)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"not found\n")


def test_a_question_from_yesterday_is_not_answered() -> None:
    box = SecretBox([SECRET], probe.PURPOSE)
    asked = probe.question(box, "n", 1000.0).encode()
    assert probe.read_question(box, asked, 1059.0) == "n"
    assert probe.read_question(box, asked, 1061.0) is None
    assert probe.read_question(box, asked, 939.0) is None


def test_an_answer_to_somebody_else_s_question_is_none() -> None:
    box = SecretBox([SECRET], probe.PURPOSE)
    seen = probe.Seen("n", "h", "p", "c", False, False, 1.0, "v")
    sealed = probe.answer(box, seen)
    assert probe.read_answer(box, sealed, "n") == seen
    assert probe.read_answer(box, sealed, "other") is None
    assert b"peer" not in sealed and b'"h"' not in sealed
