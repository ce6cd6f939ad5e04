"""What every way of delivering a mail has in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatekeeper.core.errors import GatekeeperError


class Letter(NamedTuple):
    """A finished mail and its envelope."""

    sender: str
    """Addresses as SMTP takes them: domains in ASCII (IDNA)."""
    recipient: str
    message_id: str
    """Without its angle brackets; the same at every attempt, so that receivers can drop a second copy."""
    data: bytes
    """The message with CRLF line ends."""
    utf8: bool
    """Whether an address needs SMTPUTF8 (RFC 6531)."""


class Refused(GatekeeperError):
    """This mail will never be taken: its recipient or content was refused for good (5xx).

    The text is for the operator and holds nothing of the mail's content.
    """

    reason = "refused"


class NotNow(GatekeeperError):
    """Not sent, but may be later: no connection, a 4xx answer, our own sign-in refused."""

    reason = "not_now"


class Transport(Protocol):
    """One way of delivering mails."""

    async def send(self, letter: Letter) -> None:
        """Return once the mail was taken over. Raises Refused, NotNow.

        May be cancelled at any moment: then it is not known whether the mail was taken over.
        """
