"""Delivery to a mail server. RFC 5321, RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 6531 (SMTPUTF8)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiosmtplib

from gatekeeper.mail.message import one_line
from gatekeeper.mail.transport import Letter, NotNow, Refused

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_QUIT_SECONDS = 2.0
_MAX_REPLY = 200


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails are handed in. `timeout` is in seconds and for one whole mail."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"]
    username: str = ""
    password: str = ""
    ca_file: Path | None = None
    timeout: float = 30.0
    local_hostname: str | None = None
    """Our name in EHLO; None for the machine's."""


class SmtpTransport:
    """One connection for each mail. The server's certificate is always verified."""

    def __init__(self, server: SmtpServer) -> None:
        """Raises OSError for a `ca_file` that cannot be used."""
        self._server = server
        self._tls: ssl.SSLContext | None = None
        if server.tls != "none":
            self._tls = ssl.create_default_context(cafile=str(server.ca_file) if server.ca_file else None)

    async def send(self, letter: Letter) -> None:
        async with self._connected() as client:
            options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.utf8 else []
            await client.sendmail(letter.sender, [letter.recipient], letter.data, mail_options=options)

    async def try_out(self) -> None:
        """Connect, encrypt and sign in as for a mail, and send none. Raises NotNow, Refused."""
        async with self._connected() as client:
            await client.noop()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection, signed in; errors translated, all within the server's `timeout`."""
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls
            == "starttls",  # never None: that would go on in clear when TLS is not offered
            tls_context=self._tls,
            username=server.username or None,
            password=server.password if server.username else None,
            local_hostname=server.local_hostname,
            timeout=server.timeout,
        )
        try:
            async with asyncio.timeout(server.timeout):
                await client.connect()
                yield client
            await _quit(client)
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise _translated(error) from error
        finally:
            client.close()


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The mail was taken over already: nothing that goes wrong here may send it again."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=_QUIT_SECONDS)


def _translated(error: Exception) -> Refused | NotNow:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        answer = error.recipients[0]
        return _verdict("recipient refused", answer.code, _reply(answer))
    if isinstance(error, aiosmtplib.SMTPDataError):
        # What a filter says about a mail may quote it, and the mail holds a link: codes alone.
        enhanced = _ENHANCED.match(error.message)
        return _verdict("content refused", error.code, enhanced[0] if enhanced else "")
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return Refused("the mail server does not take non-ASCII addresses (SMTPUTF8)")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return NotNow(f"the mail server refused our username and password: {error.code}")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return NotNow(f"the mail server answered {error.code} {_reply(error)}")
    if isinstance(error, TimeoutError):
        return NotNow("the mail server took too long")
    if isinstance(error, aiosmtplib.SMTPException):
        return NotNow(one_line(error.message)[:_MAX_REPLY])
    return NotNow(f"no connection to the mail server: {one_line(str(error))[:_MAX_REPLY]}")


def _verdict(what: str, code: int, reply: str) -> Refused | NotNow:
    kind = Refused if 500 <= code <= 599 else NotNow
    return kind(f"{what}: {code} {reply}".rstrip())


def _reply(error: aiosmtplib.SMTPResponseException) -> str:
    return one_line(error.message)[:_MAX_REPLY]
