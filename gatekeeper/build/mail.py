"""The composition root's part about mail: settings → outbox, composer, transport, sender."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.audit.log import AuditLog
from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.mail.compose import Composer
from gatekeeper.mail.directory import DirectoryTransport
from gatekeeper.mail.links import Links
from gatekeeper.mail.message import Mailbox
from gatekeeper.mail.outbox import PURPOSE, Outbox
from gatekeeper.mail.sender import Sender
from gatekeeper.mail.smtp import SmtpServer, SmtpTransport
from gatekeeper.mail.templates import Look, MailTemplates
from gatekeeper.mail.transport import Transport
from gatekeeper.pages.i18n import ENGLISH
from gatekeeper.pages.templates import TemplateFolders
from gatekeeper.settings import Settings
from gatekeeper.settings.mail import MailSettings, split_mailbox
from gatekeeper.storage.engine import Database

_DIRECTORY_TIMEOUT = 30.0


def make_links(settings: Settings) -> Links:
    return Links(settings.public_url, settings.prefix)


def make_box(settings: Settings) -> SecretBox:
    """Seals what waits in the outbox."""
    return SecretBox([secret.get_secret_value() for secret in settings.secrets], PURPOSE)


def make_outbox(settings: Settings, db: Database, clock: Clock) -> Outbox:
    """Where services post mails; disabled when the configuration has no `mail`."""
    return Outbox(db, make_box(settings), clock, enabled=settings.mail is not None)


def make_composer(settings: Settings, mail: MailSettings) -> Composer:
    """Raises BadAddress."""
    branding = settings.branding
    look = Look(branding.product_name, branding.help_url or "", branding.colors)
    templates = MailTemplates(TemplateFolders(settings.templates_dir).folders, ENGLISH, look)
    reply_to = make_mailbox(mail.reply_to) if mail.reply_to is not None else None
    return Composer(templates, make_mailbox(mail.from_), reply_to)


def make_mailbox(text: str) -> Mailbox:
    """From `address` or `Name <address>`. Raises BadAddress, ValueError."""
    name, address = split_mailbox(text)
    return Mailbox.make(address, name)


def make_transport(mail: MailSettings) -> Transport:
    """The way that the configuration says. Raises OSError for a `ca_file` that cannot be used."""
    if mail.to_directory is not None:
        return DirectoryTransport(mail.to_directory)
    smtp = mail.smtp
    if smtp is None:
        raise ValueError("mail: neither smtp nor to_directory")
    return SmtpTransport(
        SmtpServer(
            host=smtp.host,
            port=smtp.real_port,
            tls=smtp.tls,
            username=smtp.username or "",
            password=smtp.password.get_secret_value() if smtp.password is not None else "",
            ca_file=smtp.ca_file,
            timeout=smtp.timeout,
        )
    )


def make_sender(
    settings: Settings,
    db: Database,
    outbox: Outbox,
    audit: AuditLog,
    clock: Clock,
    on_error: Callable[[BaseException], None],
) -> Sender | None:
    """Sends what is posted to `outbox`, and wakes at each post; None when no mail is configured."""
    mail = settings.mail
    if mail is None:
        return None
    sender = Sender(
        db,
        make_box(settings),
        make_composer(settings, mail),
        make_transport(mail),
        audit,
        clock,
        # The transport's own limit comes first, and says more.
        timeout=(mail.smtp.timeout + 5.0) if mail.smtp is not None else _DIRECTORY_TIMEOUT,
        on_error=on_error,
    )
    outbox.on_post(sender.wake)
    return sender
