"""WebSockets through the whole of Gatekeeper: as directly, and no longer than the session lives."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from websockets.frames import Opcode

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.core.session import EndReason
from tests.stack.whole import Whole, whole
from tests.websocket.cases import CASES, Case
from tests.websocket.play import ERRORS, Result, play
from tests.websocket.support import (
    MESSAGE_MAX,
    PUBLIC_ORIGIN,
    EchoApplication,
    RawClient,
    RefusedHandshake,
    application,
    closing,
    masked,
)

T = TypeVar("T")

WITHIN = 5.0
"""Seconds in which a session's end must reach its WebSockets."""
ENDED = (8, True, b"\x03\xf0session ended")  # 1008


class Clock:
    """Real time, and what a test puts on top of it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Office(NamedTuple):
    """An echo application on the test's loop, Gatekeeper in front of it on a thread, one user."""

    runner: asyncio.Runner
    echo: EchoApplication
    gate: Whole
    clock: Clock
    folder: Path
    ada: int

    def run(self, story: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.runner.run(story())

    def cookie(self) -> str:
        return "Cookie: " + self.gate.cookie(self.ada)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    echo, clock = EchoApplication(), Clock()
    folder = tmp_path_factory.mktemp("office")
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        upstream = contextlib.AsyncExitStack()
        echo.port = runner.run(upstream.enter_async_context(application(echo.handle)))
        stack.callback(lambda: runner.run(upstream.aclose()))
        gate = stack.enter_context(
            whole(
                folder,
                {"url": f"http://127.0.0.1:{echo.port}", "websocket_message_max": f"{MESSAGE_MAX}B"},
                clock=clock,
                public_url=PUBLIC_ORIGIN,
                allow_insecure_public_url=True,
                rules=[
                    {"path": "/boss/**", "allow": {"roles": ["boss"]}},
                    {"path": "/open/**", "allow": "public"},
                ],
            )
        )
        yield Office(runner, echo, gate, clock, folder, gate.add_user("ada"))


_direct: dict[str, Result] = {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_through_gatekeeper_as_directly(office: Office, case: Case) -> None:
    direct = office.runner.run(play(case, office.echo, office.echo.port))
    _direct[case.name] = direct
    headers = [office.cookie(), f"Origin: {PUBLIC_ORIGIN}"]
    through = office.runner.run(play(case, office.echo, office.gate.port, headers=headers))
    assert through.client == direct.client
    if direct.client[-1] not in ERRORS:
        assert through.received == direct.received
        assert through.closed == direct.closed


def test_the_comparison_saw_messages_pongs_and_every_kind_of_end() -> None:
    seen = {
        frame[:1] if frame[0] != "close" else frame for result in _direct.values() for frame in result.client
    }
    assert {(Opcode.TEXT,), (Opcode.BINARY,), (Opcode.PONG,), ("close", 1000), *ERRORS} <= seen


def test_the_hand_shake_reaches_the_application_with_its_own_cookies_and_our_identity(office: Office) -> None:
    async def story() -> None:
        office.echo.forget()
        headers = [
            office.cookie() + "; a=1",
            "Remote-User: root",
            "remote_groups: boss",
            "X-Forwarded-For: 6.6.6.6",
            "Connection: Remote-User",
        ]
        client = await RawClient.open(office.gate.port, headers=headers, path="/live?x=%2F..")
        assert "gatekeeper" not in client.head.lower()
        await client.send(closing())
        await client.transcript()
        await client.close()
        (request,) = office.echo.requests
        got = [(name.lower(), value) for name, value in request.headers.raw_items()]
        assert request.path == "/live?x=%2F.."
        assert [value for name, value in got if name.replace("_", "-").startswith("remote-")] == [
            "ada",
            "Ada",
        ]
        assert [value for name, value in got if name == "cookie"] == ["a=1"]
        assert [value for name, value in got if name == "x-forwarded-for"] == ["127.0.0.1"]

    office.run(story)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ([], "/live", 401),
        (["Cookie: gatekeeper=forged"], "/live", 401),
        (["COOKIE", "Origin: https://evil.example.com"], "/live", 403),
        (["COOKIE", "Origin: null"], "/live", 403),
        (["COOKIE", f"Origin: {PUBLIC_ORIGIN}", "Origin: https://evil.example.com"], "/live", 403),
        (["COOKIE", f"Origin: {PUBLIC_ORIGIN}.evil.example.com"], "/live", 403),
        (["Origin: https://evil.example.com"], "/open/live", 403),
        (["COOKIE"], "/boss/live", 403),
        (["COOKIE"], "/a/../boss/live", 400),
        (["COOKIE"], "/_gate/live", 404),
    ],
)
def test_who_may_not_open_one_reaches_nobody(
    office: Office, headers: list[str], path: str, status: int
) -> None:
    async def story() -> None:
        office.echo.forget()
        sent = [office.cookie() if header == "COOKIE" else header for header in headers]
        with pytest.raises(RefusedHandshake) as refused:
            await RawClient.open(office.gate.port, headers=sent, path=path)
        assert refused.value.status == status
        assert office.echo.requests == []

    office.run(story)


def by_the_store(office: Office, cookie: str) -> None:
    async def end(services: Services) -> None:
        await services.sessions.end_user(office.ada, EndReason.REVOKED)

    office.gate.call(end)


def by_another_process(office: Office, cookie: str) -> None:
    config = office.folder / "gatekeeper.yaml"
    config.write_text(
        f"public_url: {PUBLIC_ORIGIN}\nallow_insecure_public_url: true\ndata_dir: .\n"
        f"upstream: http://127.0.0.1:{office.echo.port}\n"
    )
    command = [
        sys.executable,
        "-m",
        "gatekeeper",
        "session",
        "revoke",
        "--user",
        "ada",
        "--config",
        str(config),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def by_signing_out(office: Office, cookie: str) -> None:
    """As a browser without JavaScript does it."""
    host = PUBLIC_ORIGIN.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", office.gate.port, timeout=20)) as browser:
        browser.request(
            "GET", "/_gate/logout", headers={"Cookie": cookie, "Host": host, "Accept": "text/html"}
        )
        page = browser.getresponse()
        csrf = page.getheader("set-cookie", "").split(";")[0]
        token = page.read().decode().split('name="csrf" value="')[1].split('"')[0]
        browser.request(
            "POST",
            "/_gate/logout",
            f"csrf={token}",
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": f"{cookie}; {csrf}",
                "Host": host,
                "Origin": PUBLIC_ORIGIN,
            },
        )
        assert browser.getresponse().status == 303


def by_losing_the_account(office: Office, cookie: str) -> None:
    async def disable(services: Services) -> None:
        await services.users.set_disabled(office.ada, True, by=Source("test"))
        await services.users.set_disabled(office.ada, False, by=Source("test"))

    office.gate.call(disable)


def by_idleness(office: Office, cookie: str) -> None:
    office.clock.ahead += 16 * 60


def by_age(office: Office, cookie: str) -> None:
    office.clock.ahead += 8 * 3600 + 60


@pytest.mark.parametrize(
    "end", [by_the_store, by_another_process, by_signing_out, by_losing_the_account, by_idleness, by_age]
)
def test_the_end_of_the_session_ends_its_websockets(
    office: Office, end: Callable[[Office, str], None]
) -> None:
    async def story() -> None:
        office.echo.forget()
        cookie = office.cookie()
        client = await RawClient.open(office.gate.port, headers=[cookie])
        await client.send(masked(Opcode.TEXT, b"hello"))
        assert await client.frame() == (1, True, b"hello")
        # Off this loop: the echo application answers on it meanwhile.
        await asyncio.to_thread(end, office, cookie.removeprefix("Cookie: "))
        began = time.monotonic()
        assert await asyncio.wait_for(client.frame(), WITHIN + 10) == ENDED
        assert time.monotonic() - began < WITHIN
        await client.send(masked(Opcode.TEXT, b"too late") + closing(1008))
        assert await asyncio.wait_for(client.frame(), 10) is None
        await client.close()
        async with asyncio.timeout(10):
            while not office.echo.closed:
                await asyncio.sleep(0.01)
        assert office.echo.closed == [(1008, "session ended")]
        assert office.echo.received == ["hello"]
        with pytest.raises(RefusedHandshake) as refused:
            await RawClient.open(office.gate.port, headers=[cookie])
        assert refused.value.status == 401

    office.run(story)


def test_what_the_person_sends_keeps_the_session_and_what_the_application_sends_does_not(
    office: Office,
) -> None:
    async def story() -> None:
        client = await RawClient.open(office.gate.port, headers=[office.cookie()])
        for number in range(3):  # 30 minutes in all, twice the idle timeout
            office.clock.ahead += 10 * 60
            await client.send(masked(Opcode.TEXT, b"%d" % number))
            assert await asyncio.wait_for(client.frame(), 10) == (1, True, b"%d" % number)
            await client.send(masked(Opcode.PING, b""))
            assert await asyncio.wait_for(client.frame(), 10) == (10, True, b"")
        office.clock.ahead += 10 * 60
        await client.send(masked(Opcode.PING, b""))  # nobody's hands: browsers and libraries send it alone
        assert await asyncio.wait_for(client.frame(), 10) == (10, True, b"")
        office.clock.ahead += 6 * 60
        assert await asyncio.wait_for(client.frame(), WITHIN + 10) == ENDED
        await client.close()

    office.run(story)
