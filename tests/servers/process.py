"""Servers from Debian, started by tests on free ports of this machine, gone with the tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

NOBODY = 65_534


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def as_nobody(folder: Path) -> list[str]:
    """What to put before a command that refuses to run as root; `folder` becomes that user's."""
    before = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() != 0:
        return before
    os.chown(folder, NOBODY, NOBODY)
    return [*before, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


class Server:
    """One process; ready when `ready` says so."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        *,
        stop_signal: int = signal.SIGTERM,
        start_seconds: float = 30.0,
    ) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self._stop_signal = stop_signal
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + self._start_seconds
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self._command[0]}: {self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, seconds: float = 10.0) -> None:
        """Ask it to stop, and kill it when it has not after `seconds`."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
