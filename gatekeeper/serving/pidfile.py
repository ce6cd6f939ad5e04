"""`gatekeeper.pid` in data_dir: who serves there, and how its last reload went.

The file is locked for as long as that process lives, so that a number left behind never gets a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

NAME = "gatekeeper.pid"


class State(NamedTuple):
    """What the file says."""

    pid: int
    reloads: int
    """How many reloads were tried since the start."""
    error: str
    """Why the last one failed, "" when it did not."""


class PidFile:
    """Held by the process that serves. Somebody else's is left alone: `held` is false then."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def take(self) -> bool:
        """Write our number, unless another living process has. Raises OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        file = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        self.write(0, "")
        return True

    def write(self, reloads: int, error: str) -> None:
        file = self._file
        if file is None:
            return
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n{json.dumps([reloads, error])}\n")
        file.flush()

    def release(self) -> None:
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._file.close()
            self._file = None


def read_pid_file(folder: Path) -> State | None:
    """Who serves with this data_dir now; None when nobody does. Raises OSError when that cannot be told."""
    try:
        with (folder / NAME).open() as file:
            with _unlocked(file) as free:
                if free:
                    return None
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 2:  # it is just being written
        return State(0, 0, "")
    reloads, error = json.loads(lines[1])
    return State(int(lines[0]), int(reloads), str(error))


@contextlib.contextmanager
def _unlocked(file: IO[str]) -> Iterator[bool]:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
