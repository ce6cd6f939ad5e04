"""What a change of password leaves behind, in the transaction of the change: a mail and an audit row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import MailKind

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog, Detail
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox


def moment(seconds: float) -> str:
    """A time (seconds since the epoch) as mails are given it: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


class Notices:
    """Writes down who changed what, and tells the account's owner."""

    def __init__(self, outbox: Outbox, links: Links, audit: AuditLog) -> None:
        self._outbox = outbox
        self._links = links
        self._audit = audit

    async def password_changed(
        self, conn: AsyncConnection, kind: EventKind, user: UserRecord, by: Source, now: float
    ) -> None:
        """The owner learns of a new password, whoever chose it. ASVS 5.0 V6.3.7."""
        values = {"when": moment(now), "link": self._links.forgot()}
        if by.client:
            values["client"] = by.client
        await self._outbox.post(conn, MailKind.PASSWORD_CHANGED, user=user, values=values)
        await self.write(conn, kind, user, by)

    async def write(
        self, conn: AsyncConnection | None, kind: EventKind, user: UserRecord, by: Source, **details: Detail
    ) -> None:
        """One audit row about `user`; without `conn` in a transaction of its own."""
        await self._audit.record(
            kind,
            user_id=user.id,
            login=user.login,
            actor=by.actor,
            client=by.client,
            request_id=by.request_id,
            details=details,
            conn=conn,
        )
