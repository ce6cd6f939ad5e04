"""`gatekeeper serve` as a process of its own, and somebody who is signed in there."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.stack.conftest import free_port
from tests.stack.whole import PASSWORD


class Served(NamedTuple):
    port: int
    pid: int
    """Of the worker."""
    cookie: str
    """The Cookie header's value of a signed-in person."""


@contextlib.contextmanager
def serving(folder: Path, upstream: str, more: str = "") -> Iterator[Served]:
    """Serve while the block runs; `more` is added to the configuration."""
    port = free_port()
    config = folder / "gatekeeper.yaml"
    config.write_text(
        f"public_url: http://127.0.0.1:{port}\nlisten: 127.0.0.1:{port}\nupstream: {upstream}\n"
        f"log: {{level: warning}}\n{more}"
    )
    command = [sys.executable, "-m", "gatekeeper"]
    added = subprocess.run(
        [*command, "user", "add", "ada", "--password-stdin", "--config", str(config)],
        input=PASSWORD.encode(),
        capture_output=True,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    with (folder / "gatekeeper.log").open("wb") as log:
        process = subprocess.Popen([*command, "serve", "--config", str(config)], stderr=log)
        try:
            _wait_for(port, process, folder / "gatekeeper.log")
            yield Served(port, worker_of(process.pid), sign_in(port))
        finally:
            process.terminate()
            code = process.wait(30)
    assert code == 0, (folder / "gatekeeper.log").read_text(errors="replace")[-2000:]


def worker_of(pid: int) -> int:
    """The one process that serves below the supervisor `pid`."""
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(worker)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"gatekeeper serve is dead: {log.read_text(errors='replace')}") from None
            time.sleep(0.05)


def sign_in(port: int, login: str = "ada") -> str:
    """Over HTTP, as a browser without JavaScript does it; the Cookie header to send from then on."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/_gate/login", headers={"Accept": "text/html"})
        page = connection.getresponse()
        csrf_cookie = page.getheader("set-cookie", "").split(";")[0]
        token = page.read().decode().split('name="csrf" value="')[1].split('"')[0]
        connection.request(
            "POST",
            "/_gate/login",
            f"csrf={token}&login={login}&password={PASSWORD.replace(' ', '+')}&next=%2F",
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
