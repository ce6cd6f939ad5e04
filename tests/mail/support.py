"""A real mail server on a socket, a real database, and a clock that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from gatekeeper.audit.log import AuditLog
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.compose import Composer
from gatekeeper.mail.kinds import MailKind
from gatekeeper.mail.message import Mailbox
from gatekeeper.mail.outbox import PURPOSE, Outbox
from gatekeeper.mail.sender import Sender
from gatekeeper.mail.smtp import SmtpServer, SmtpTransport
from gatekeeper.mail.templates import Look, MailTemplates
from gatekeeper.mail.transport import Transport
from gatekeeper.pages.i18n import ENGLISH
from gatekeeper.pages.templates import TemplateFolders
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database
from tests.servers.databases import make_database

START = 1_800_000_000.0
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz-for-tests"
LINK = "https://app.example.com/_gate/reset?token=canary-token"
PASSWORD = "canary password"
PAT = UserRecord(7, "pat", "Pat Example", "pat@example.com", (), False, 0)


@dataclass
class Sink:
    """Keeps what a mail server was given; what it answers can be changed."""

    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    options: list[list[str]] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    rcpt_answer: str = ""
    data_answer: str = ""
    on_data: Callable[[SMTP], Awaitable[None]] | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.rcpt_answer:
            return self.rcpt_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        if self.on_data is not None:
            await self.on_data(server)
        if self.data_answer:
            return self.data_answer
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        self.options.append(list(envelope.mail_options))
        self.mails.append(BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(content))
        self.arrived.set()
        return "250 taken"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append(data.password)
        return AuthResult(success=data.password == b"right", handled=False)

    @contextlib.asynccontextmanager
    async def listening(
        self, port: int = 0, *, tls: ssl.SSLContext | None = None, implicit: bool = False, **options: Any
    ) -> AsyncIterator[int]:
        """Serve on a free (or the given) port of 127.0.0.1."""

        def protocol() -> SMTP:
            return SMTP(
                self,
                hostname="mail.example.com",
                tls_context=None if implicit else tls,
                authenticator=self.authenticate,
                timeout=5,
                **{"enable_SMTPUTF8": True, **options},
            )

        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", port, ssl=tls if implicit else None)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await server.wait_closed()


def smtp(port: int, **options: Any) -> SmtpTransport:
    known = {"host": "127.0.0.1", "port": port, "tls": "none", "timeout": 5.0, "local_hostname": "localhost"}
    return SmtpTransport(SmtpServer(**{**known, **options}))


def composer(product: str = "Acme", override: Path | None = None, **options: Any) -> Composer:
    templates = MailTemplates(TemplateFolders(override).folders, ENGLISH, Look(product, **options))
    return Composer(templates, Mailbox.make("gatekeeper@example.com", "Acme"))


class Lines:
    """Stands in for the audit log's logger."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def info(self, event: str, /, **fields: Any) -> None:
        self.seen.append({"event": event, **fields})


@dataclass
class World:
    """One process: a database, an outbox, and senders made as needed."""

    db: Database
    box: SecretBox
    lines: Lines
    now: float = START
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.db, self.box, self.clock, jitter=lambda: 0.0)
        self.audit = AuditLog(self.db, self.clock, self.lines)

    def clock(self) -> float:
        return self.now

    def sender(self, transport: Transport, **options: Any) -> Sender:
        known: dict[str, Any] = {"timeout": 10.0, "jitter": lambda: 0.0, "on_error": self.errors.append}
        made = options.pop("composer", None) or composer()
        return Sender(self.db, self.box, made, transport, self.audit, self.clock, **{**known, **options})

    async def post(self, kind: MailKind = MailKind.RECOVERY, user: UserRecord = PAT, **options: Any) -> bool:
        options.setdefault("values", {"link": LINK})
        async with self.db.begin() as conn:
            return await self.outbox.post(conn, kind, user=user, **options)

    async def rows(self) -> list[dict[str, Any]]:
        async with self.db.read() as conn:
            found = await conn.execute(sa.select(tables.outbox).order_by(tables.outbox.c.id))
            return [dict(row) for row in found.mappings()]

    async def audited(self) -> list[dict[str, Any]]:
        async with self.db.read() as conn:
            return [dict(row) for row in (await conn.execute(sa.select(tables.audit_events))).mappings()]


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Several on one folder are several processes on one database."""
    db = make_database(folder)
    await db.open()
    try:
        yield World(db, SecretBox([SECRET], PURPOSE), Lines())
    finally:
        await db.close()


def tell(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """Run one story in a new world."""

    async def told() -> None:
        async with world(folder) as made:
            await story(made)

    asyncio.run(told())
