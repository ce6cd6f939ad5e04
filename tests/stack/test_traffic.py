"""Traffic of several people through one Gatekeeper: nothing crosses, nothing is buffered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.echo import BLOCK
from tests.stack.process import Served, serving
from tests.stack.whole import whole

GIGABYTE_BLOCKS = (1 << 30) // len(BLOCK)
EXTRA_MEMORY = 50 * 1024  # KiB


def test_two_people_a_thousand_interleaved_requests_each_never_meet(tmp_path: Path, echo: str) -> None:
    with whole(tmp_path, echo) as gate:
        cookies = {login: gate.cookie(gate.add_user(login)) for login in ("ada", "bob")}
        asyncio.run(_interleave(gate.port, cookies))


async def _interleave(port: int, cookies: dict[str, str]) -> None:
    """8 connections, each carrying both people's requests in turn, on keep-alive and pooled upstreams."""

    async def lane(number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        for turn in range(250):
            login = ("ada", "bob")[(turn + number) % 2]
            path = f"/{login}/{number}/{turn}"
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: a={login}; {cookies[login]}\r\n"
                f"Accept: text/html\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            assert body == {"user": login, "path": path, "cookie": f"a={login}"}
            assert headers["set-cookie"] == f"mine={login}"
            assert headers["x-asked-by"] == login
            done += 1
        writer.close()
        return done

    assert sum(await asyncio.gather(*map(lane, range(8)))) == 2_000


@pytest.fixture
def served(tmp_path: Path, echo: str) -> Iterator[Served]:
    with serving(tmp_path, echo) as running:
        yield running


def _resident(pid: int) -> int:
    """KiB at the highest, since the process began."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_a_gigabyte_goes_through_both_ways_unchanged_and_is_never_held(served: Served) -> None:
    port, pid, cookie = served.port, served.pid, served.cookie
    before = _resident(pid)
    expected = hashlib.sha256()
    for _ in range(GIGABYTE_BLOCKS):
        expected.update(BLOCK)

    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        _upload(connection, cookie, expected.hexdigest())
        connection.request("GET", f"/download/{GIGABYTE_BLOCKS}", headers={"Cookie": cookie})
        answer = connection.getresponse()
        received = hashlib.sha256()
        while piece := answer.read(1 << 20):
            received.update(piece)
    assert received.digest() == expected.digest()
    assert _resident(pid) - before < EXTRA_MEMORY


def _upload(connection: http.client.HTTPConnection, cookie: str, digest: str) -> None:
    connection.putrequest("POST", "/upload")
    connection.putheader("Cookie", cookie)
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    for _ in range(GIGABYTE_BLOCKS):
        connection.send(BLOCK)
    answer = connection.getresponse()
    assert (answer.status, answer.read().decode()) == (200, f"{1 << 30} {digest}")
