"""Mails as files: for trying things out, and for other programs that send them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from gatekeeper.mail.transport import Letter, NotNow


class DirectoryTransport:
    """Writes each mail as one .eml file (RFC 5322) that only Gatekeeper's user can read.

    A file appears whole or not at all, and has one name at every attempt.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def send(self, letter: Letter) -> None:
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as error:
            raise NotNow(f"cannot write to {self._directory}: {error.strerror}") from error

    def _write(self, letter: Letter) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256(letter.message_id.encode("utf-8")).hexdigest()[:32]
        draft = self._directory / f".{name}-{os.getpid()}.tmp"
        try:
            descriptor = os.open(
                draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(letter.data)
                file.flush()
                os.fsync(descriptor)
            draft.replace(self._directory / f"{name}.eml")
        finally:
            draft.unlink(missing_ok=True)
