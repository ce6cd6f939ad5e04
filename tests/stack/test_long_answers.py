"""Streamed answers end with what let them begin: within 5 s, except that an idle end lets them finish."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.session import EndReason
from gatekeeper.demo.serving import serving
from tests.stack.whole import Whole, whole

WITHIN = 5.0
PIECE = b"x" * 1000


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Stream:
    """An application whose answer goes on until the test says that it is complete."""

    def __init__(self) -> None:
        self.finish = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.finish:
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"end", "more_body": False})


class Office(NamedTuple):
    gate: Whole
    stream: Stream
    clock: Clock
    pat: int

    def cookie(self, *, remembered: bool = False) -> str:
        async def start(services: Services) -> str:
            _, value = await services.sessions.start(
                self.pat, methods="pwd", remembered=remembered, client="127.0.0.1", user_agent="test"
            )
            return value

        return f"gatekeeper={self.gate.call(start)}"

    @contextlib.contextmanager
    def streaming(self, cookie: str) -> Iterator[http.client.HTTPResponse]:
        self.stream.finish = False
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=WITHIN + 10)
        with contextlib.closing(connection):
            connection.request("GET", "/stream", headers={"Cookie": cookie})
            response = connection.getresponse()
            assert (response.status, response.read(1000)) == (200, PIECE)
            yield response


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    stream, clock = Stream(), Clock()
    session = {
        "idle_timeout": "15m",
        "absolute_timeout": "2h",
        "remember_me": True,
        "remember": "5h",
        "remember_max": "6h",
    }
    folder: Path = tmp_path_factory.mktemp("office")
    with (
        serving(stream) as port,
        whole(folder, f"http://127.0.0.1:{port}", clock=clock, session=session) as gate,
    ):
        yield Office(gate, stream, clock, gate.add_user("pat"))


def by_revocation(office: Office) -> None:
    async def revoke(services: Services) -> None:
        await services.sessions.end_user(office.pat, EndReason.REVOKED)

    office.gate.call(revoke)


def by_signing_out(office: Office) -> None:
    async def sign_out(services: Services) -> None:
        for record in await services.sessions.list(office.pat):
            await services.sessions.end_key(record.key, EndReason.SIGNED_OUT)

    office.gate.call(sign_out)


def by_disabling(office: Office) -> None:
    async def disable(services: Services) -> None:
        await services.users.set_disabled(office.pat, True, by=Source("test"))
        await services.users.set_disabled(office.pat, False, by=Source("test"))

    office.gate.call(disable)


def by_age(office: Office) -> None:
    office.clock.ahead += 2 * 3600.0


def by_disabling_after_the_idle_end(office: Office) -> None:
    office.clock.ahead += 901.0
    by_looking(office)
    by_disabling(office)


def by_looking(office: Office) -> None:
    """The idle end is found out, by whoever asks next or by the cleaning."""

    async def look(services: Services) -> None:
        await services.sessions._upkeep.clean(office.clock() + 600.0)

    office.gate.call(look)


def by_sweeping(office: Office) -> None:
    """What goes on every two seconds, at once."""

    async def sweep(_: Services) -> None:
        gate = office.gate.app._gate
        assert gate is not None
        gate.running.sweep()
        await asyncio.sleep(0)

    office.gate.call(sweep)


def is_cut(response: http.client.HTTPResponse) -> bool:
    """Whether it breaks off, in time, and not as if it were complete."""
    began = time.monotonic()
    try:
        while response.read(1000):
            if time.monotonic() - began > WITHIN:
                return False
    except (http.client.IncompleteRead, ConnectionError):
        return time.monotonic() - began < WITHIN
    return False


@pytest.mark.parametrize(
    "end", [by_revocation, by_signing_out, by_disabling, by_age, by_disabling_after_the_idle_end]
)
def test_it_is_cut(office: Office, end: Callable[[Office], None]) -> None:
    with office.streaming(office.cookie()) as response:
        end(office)
        assert is_cut(response)


def test_a_remembered_session_s_longest_time_cuts_it(office: Office) -> None:
    with office.streaming(office.cookie(remembered=True)) as response:
        office.clock.ahead += 6 * 3600.0
        assert is_cut(response)


@pytest.mark.parametrize(("remembered", "after"), [(False, 901.0), (True, 5 * 3600.0 + 1.0)])
def test_after_an_idle_end_it_goes_on_to_its_end(office: Office, remembered: bool, after: float) -> None:
    cookie = office.cookie(remembered=remembered)
    with office.streaming(cookie) as response:
        office.clock.ahead += after
        by_looking(office)
        by_sweeping(office)
        office.stream.finish = True
        assert response.read().endswith(b"end")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", office.gate.port)) as again:
        again.request("GET", "/stream", headers={"Cookie": cookie})
        assert again.getresponse().status == 401
