"""A finished mail from a kind and what is known."""

from __future__ import annotations

from gatekeeper.mail.kinds import MailKind
from gatekeeper.mail.message import Mailbox, build
from gatekeeper.mail.templates import Facts, MailTemplates
from gatekeeper.mail.transport import Letter


class Composer:
    """Knows who mails come from."""

    def __init__(self, templates: MailTemplates, sender: Mailbox, reply_to: Mailbox | None = None) -> None:
        self.templates = templates
        self._sender = sender
        self._reply_to = reply_to

    def compose(self, kind: MailKind, facts: Facts, recipient: str, *, message_id: str, now: float) -> Letter:
        """`now` in seconds since the epoch. Raises BadAddress, jinja2.TemplateError."""
        return build(
            self.templates.render(kind, facts),
            sender=self._sender,
            recipient=Mailbox.make(recipient, facts.name),
            reply_to=self._reply_to,
            message_id=message_id,
            language=self.templates.language.code,
            now=now,
        )
