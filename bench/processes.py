"""Starting servers for a measurement, pinned to a core, and reading what they used."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descriptors() -> int:
    """How many files a process may open from now on: as many as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def cores() -> tuple[int, int]:
    """(for the server under test, for everything else); the same core twice on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@dataclass(frozen=True)
class Server:
    """A running server; `pids` are the processes that do its work, with those that they started."""

    name: str
    port: int
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """User and system time so far, by the kernel's accounting (10 ms steps)."""
        return sum(_cpu_seconds(pid) for root in self.pids for pid in family(root))

    def resident_kib(self) -> int:
        return sum(_status(pid, "VmRSS") for root in self.pids for pid in family(root))


def _cpu_seconds(pid: int) -> float:
    # Fields 14 and 15 (proc(5)), counted behind the name, which may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def children(pid: int) -> tuple[int, ...]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return tuple(int(child) for child in listed)


def family(pid: int) -> tuple[int, ...]:
    """The process and all that it started, directly or not: `gatekeeper serve` works in a child."""
    return (pid, *(member for child in children(pid) for member in family(child)))


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    core: int | str,
    workers: bool = False,
    cwd: Path | None = None,
) -> Iterator[Server]:
    """Start `command`, wait until `port` answers, stop it by its pid afterwards.

    `workers`: the work is done by its child processes, as with nginx. Raises RuntimeError when it dies.
    """
    process = subprocess.Popen(["taskset", "-c", str(core), *command], cwd=cwd)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                if not workers or children(process.pid):  # it listens before it has any
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not start")
            time.sleep(0.05)
        yield Server(name, port, children(process.pid) if workers else (process.pid,))
    finally:
        process.terminate()
        process.wait(30)
