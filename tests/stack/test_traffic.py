"""Traffic of several people through one Gatekeeper: nothing crosses, nothing is buffered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import free_port
from tests.stack.echo import BLOCK
from tests.stack.whole import PASSWORD, whole

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
def served(tmp_path: Path, echo: str) -> Iterator[tuple[int, int, str]]:
    """`gatekeeper serve` as a process of its own: (port, pid, cookie)."""
    port = free_port()
    config = tmp_path / "gatekeeper.yaml"
    config.write_text(
        f"public_url: http://127.0.0.1:{port}\nlisten: 127.0.0.1:{port}\nupstream: {echo}\n"
        "log: {level: warning}\n"
    )
    command = [sys.executable, "-m", "gatekeeper"]
    added = subprocess.run(
        [*command, "user", "add", "ada", "--password-stdin", "--config", str(config)],
        input=PASSWORD.encode(),
        capture_output=True,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    process = subprocess.Popen([*command, "serve", "--config", str(config)])
    try:
        _wait_for(port, process)
        yield port, process.pid, _sign_in(port)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "gatekeeper serve is dead"
            time.sleep(0.05)


def _sign_in(port: int) -> str:
    """Over HTTP, as a browser without JavaScript does it; the Cookie header to send from then on."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/_gate/login", headers={"Accept": "text/html"})
        page = connection.getresponse()
        csrf_cookie = page.getheader("set-cookie", "").split(";")[0]
        token = page.read().decode().split('name="csrf" value="')[1].split('"')[0]
        connection.request(
            "POST",
            "/_gate/login",
            f"csrf={token}&login=ada&password={PASSWORD.replace(' ', '+')}&next=%2F",
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": csrf_cookie,
                "Origin": f"http://127.0.0.1:{port}",
            },
        )
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 303, answer.status
    cookies = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    return "; ".join(cookie for cookie in cookies if cookie.startswith("gatekeeper="))


def _resident(pid: int) -> int:
    """KiB at the highest, since the process began."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_a_gigabyte_goes_through_both_ways_unchanged_and_is_never_held(served: tuple[int, int, str]) -> None:
    port, pid, cookie = served
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
