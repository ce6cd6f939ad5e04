"""The data folder: there, writable, closed to others, with room. The files of secrets, too."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from gatekeeper.doctor.protocol import Finding, fail, ok, warn

LITTLE = 1_000_000_000
"""Bytes free below which the operator is told …"""
TOO_LITTLE = 100_000_000
"""… and below which sign-ins will soon fail: every one is written down."""

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """What this user may still write there. Raises OSError."""
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize


class DataDirCheck:
    """`user` is the id of the user that is asking; `free` tells the room on the disk."""

    name = "data_dir"

    def __init__(self, folder: Path, *, user: int | None = None, free: FreeBytes = free_bytes) -> None:
        self._folder = folder
        self._user = os.geteuid() if user is None else user
        self._free = free

    async def run(self) -> list[Finding]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Finding]:
        folder = self._folder
        try:
            status = folder.stat()
        except FileNotFoundError:
            return [warn(f"{folder} is not there yet", "it is made at the first start of `gatekeeper serve`")]
        except OSError as error:
            return [
                fail(f"{folder} cannot be looked at: {error.strerror}", "run doctor as Gatekeeper's user")
            ]
        return [*self._permissions(status), *self._room()]

    def _permissions(self, status: os.stat_result) -> Iterator[Finding]:
        folder = self._folder
        if not stat.S_ISDIR(status.st_mode):
            yield fail(f"{folder} is no folder", "data_dir must name a folder of Gatekeeper's own")
            return
        if status.st_uid != self._user:
            yield warn(
                f"{folder} belongs to user id {status.st_uid}, and this is user id {self._user}",
                "run doctor as Gatekeeper's user, or chown the folder to it",
            )
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            yield fail(
                f"{folder} cannot be written by user id {self._user}", "chown the folder to Gatekeeper's user"
            )
        elif status.st_mode & 0o022:
            yield fail(
                f"{folder} can be changed by others (mode {status.st_mode & 0o777:03o})",
                f"chmod 700 {folder}",
            )
        elif status.st_mode & 0o077:
            yield warn(
                f"{folder} can be read by others (mode {status.st_mode & 0o777:03o})", f"chmod 700 {folder}"
            )
        else:
            yield ok(f"{folder} is there, and closed to others")

    def _room(self) -> Iterator[Finding]:
        try:
            free = self._free(self._folder)
        except OSError as error:
            yield fail(
                f"the room on the disk cannot be told: {error.strerror}", "run doctor as Gatekeeper's user"
            )
            return
        text = f"{free / 1e9:.1f} GB free on its disk"
        if free < TOO_LITTLE:
            yield fail(text, "make room: with a full disk nobody can sign in")
        elif free < LITTLE:
            yield warn(text, "make room: the database and its write-ahead log grow")
        else:
            yield ok(text)


class SecretsCheck:
    """`private` are files that must be open to nobody else; `generated` the secret's, or None."""

    name = "secrets"

    def __init__(self, number: int, generated: Path | None, private: list[Path]) -> None:
        self._number = number
        self._generated = generated
        self._private = private

    async def run(self) -> list[Finding]:
        return await asyncio.to_thread(lambda: list(self._look()))

    def _look(self) -> Iterator[Finding]:
        if self._number == 0:
            yield warn("there is no secret yet", "one is made at the first start of `gatekeeper serve`")
        elif self._generated is not None:
            yield ok(f"made by Gatekeeper, in {self._generated}: keep a copy with your backups")
        else:
            yield ok("one secret" if self._number == 1 else f"{self._number} secrets: the first signs")
        open_files = [path for path in self._private if _open_to_others(path)]
        for path in open_files:
            yield fail(f"{path} can be read or changed by others", f"chmod 600 {path}")


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False  # what cannot be seen is for the check of the folder to say
