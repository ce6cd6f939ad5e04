"""slowhttptest against `gatekeeper serve`, and what other people notice meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.process import Served

PATIENCE = 30.0
"""Seconds after which another person's request counts as not answered."""


@dataclass
class Observed:
    """What was seen while an attack went on. Times in seconds, memory in KiB."""

    name: str
    latencies: list[float] = field(default_factory=list)
    """Of other people's requests, each on a new connection."""
    failures: list[str] = field(default_factory=list)
    memory_before: int = 0
    memory_most: int = 0
    connections_most: int = 0
    held: float = 0.0
    """How long more than a tenth of the connections were open on our side."""
    ending: str = ""
    """Why slowhttptest ended, in its own words."""

    def row(self) -> str:
        """A line of the table in docs/security.md."""
        ordered = sorted(self.latencies)
        return (
            f"| {self.name} | {self.connections_most} | {len(ordered)}, {len(self.failures)} failed "
            f"| {statistics.median(ordered) * 1000:.0f} / {ordered[int(len(ordered) * 0.99)] * 1000:.0f} "
            f"/ {ordered[-1] * 1000:.0f} "
            f"| {self.memory_before / 1024:.0f} → {self.memory_most / 1024:.0f} MiB "
            f"| {self.held:.0f} s |"
        )


def resident(pid: int) -> int:
    """KiB at the moment."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def sockets(pid: int) -> int:
    """Open sockets of a process."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count


def attack(served: Served, name: str, *options: str, path: str, seconds: int) -> Observed:
    """Run slowhttptest for `seconds` at most, or until it has no connection left."""
    observed = Observed(name, memory_before=resident(served.pid))
    command = ["slowhttptest", *options, "-u", f"http://127.0.0.1:{served.port}{path}"]
    command += ["-l", str(seconds), "-p", str(int(PATIENCE)), "-v", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with _somebody_else(served, observed):
            output, _ = process.communicate(timeout=seconds + 30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    ending = re.search(r"Exit status:\s*(.+)", plain)
    assert ending is not None, plain[-2000:]
    observed.ending = ending[1].strip()
    return observed


@contextlib.contextmanager
def _somebody_else(served: Served, observed: Observed) -> Iterator[None]:
    """Asks for a page of the application and for the sign-in page, again and again."""
    stop = threading.Event()
    start = time.monotonic()

    def ask() -> None:
        turn = 0
        while not stop.wait(0.05):
            turn += 1
            observed.memory_most = max(observed.memory_most, resident(served.pid))
            connections = sockets(served.pid)
            observed.connections_most = max(observed.connections_most, connections)
            if connections > observed.connections_most / 10:
                observed.held = time.monotonic() - start
            path = "/page" if turn % 2 else "/_gate/login"
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
            began = time.monotonic()
            try:
                with contextlib.closing(connection):
                    headers = {"Cookie": served.cookie} if turn % 2 else {"Accept": "text/html"}
                    connection.request("GET", path, headers=headers)
                    answer = connection.getresponse()
                    answer.read()
                if answer.status != 200:
                    observed.failures.append(
                        f"{path}: {answer.status} after {time.monotonic() - began:.1f} s"
                    )
                    continue
            except OSError as error:
                observed.failures.append(f"{path}: {error!r} after {time.monotonic() - began:.1f} s")
                continue
            observed.latencies.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE + 10)
