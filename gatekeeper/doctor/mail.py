"""Would the mail server take our mails? Connects, encrypts and signs in, and sends none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.mail.transport import NotNow, Refused


class Mailer(Protocol):
    """The part of a mail transport that can be tried out."""

    async def try_out(self) -> None:
        """Do all but send. Raises NotNow or Refused."""
        ...


class NoMailCheck:
    """There is no `mail` in the configuration."""

    name = "mail"

    async def run(self) -> list[Finding]:
        return [
            warn("no mail is configured", "without `mail` there are no invitations, recovery or unlock links")
        ]


class SmtpCheck:
    """`server` is how the findings call it; `readable` says that everything travels unencrypted."""

    name = "mail"

    def __init__(self, mailer: Mailer, server: str, *, signs_in: bool, readable: bool) -> None:
        self._mailer = mailer
        self._server = server
        self._signs_in = signs_in
        self._readable = readable

    async def run(self) -> list[Finding]:
        try:
            await self._mailer.try_out()
        except (NotNow, Refused) as error:
            return [fail(f"{self._server}: {error}", "see mail.smtp in the configuration, and the firewall")]
        done = "connected and signed in" if self._signs_in else "connected"
        if self._readable:
            return [
                warn(
                    f"{self._server}: {done}, unencrypted",
                    "mails carry links that open accounts: tls: starttls, unless nobody can listen there",
                )
            ]
        return [ok(f"{self._server}: {done}, encrypted; no mail was sent")]


class DirectoryCheck:
    """Mails become files: can they be written?"""

    name = "mail"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(self) -> list[Finding]:
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[Finding]:
        folder = self._folder
        if not folder.exists():
            return [ok(f"mails become files in {folder}, which is made with the first")]
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            return [fail(f"{folder} cannot be written", "chown mail.to_directory to Gatekeeper's user")]
        return [ok(f"mails become files in {folder}")]
