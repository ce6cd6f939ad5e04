"""From rendered texts to a message as RFC 5322 has it: no value from outside can add a header."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import NamedTuple

from gatekeeper.core.errors import GatekeeperError
from gatekeeper.mail.transport import Letter

_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{1,64}@[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f]{1,255}")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MAX_NAME = 100


class BadAddress(GatekeeperError):
    """No mail can be sent to this address, or from it."""

    reason = "bad_address"


class Mailbox(NamedTuple):
    """An address that SMTP takes, and the name shown beside it."""

    name: str
    address: str

    @classmethod
    def make(cls, address: str, name: str = "") -> Mailbox:
        """Clean both; the domain becomes ASCII (IDNA, RFC 5890). Raises BadAddress."""
        if not _ADDRESS.fullmatch(address):
            raise BadAddress("not an e-mail address")
        local, _, domain = address.rpartition("@")
        try:
            ascii_domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            raise BadAddress("not a domain that mail can be sent to") from None
        return cls(one_line(name)[:_MAX_NAME], f"{local}@{ascii_domain}")

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def header(self) -> Address:
        local, _, domain = self.address.rpartition("@")
        return Address(self.name, local, domain)


class Texts(NamedTuple):
    """What the templates say."""

    subject: str
    plain: str
    html: str


def one_line(text: str) -> str:
    """`text` without line breaks and control characters."""
    return _BLANK.sub(" ", text).strip()


def build(
    texts: Texts,
    *,
    sender: Mailbox,
    recipient: Mailbox,
    reply_to: Mailbox | None,
    message_id: str,
    language: str,
    now: float,
) -> Letter:
    """The finished mail. `message_id` without brackets and domain; `now` in seconds since the epoch."""
    utf8 = not (sender.address + recipient.address + (reply_to.address if reply_to else "")).isascii()
    # Seven bits: every server takes them. Non-ASCII local parts alone need more (RFC 6531).
    message = EmailMessage(policy.SMTP.clone(cte_type="7bit", utf8=utf8))
    message_id = f"{message_id}@{sender.domain}"
    message["From"] = sender.header
    message["To"] = recipient.header
    if reply_to is not None:
        message["Reply-To"] = reply_to.header
    message["Subject"] = one_line(texts.subject)
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    message["Message-ID"] = f"<{message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    message.set_content(texts.plain)
    message.add_alternative(texts.html, subtype="html")
    message["Content-Language"] = language
    return Letter(sender.address, recipient.address, message_id, message.as_bytes(), utf8)
