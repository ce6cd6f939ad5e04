"""What waits in the outbox: taking one mail at a time, and writing down what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.storage.tables import outbox

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

KEPT = 30 * 86_400.0
"""Seconds for which it is known that a mail was sent or given up, for `gatekeeper mail queue`."""


class Taken(NamedTuple):
    """A mail that one sender works on until `leased_until`."""

    id: int
    kind: str
    user_id: int | None
    recipient: str
    content: bytes
    created_at: float
    expires_at: float | None
    attempts: int
    """With this one."""
    leased_until: float


class Gone(NamedTuple):
    """A mail that will not be sent any more."""

    id: int
    kind: str
    user_id: int | None
    attempts: int


class Entry(NamedTuple):
    """One row for people: never the content."""

    id: int
    kind: str
    recipient: str
    created_at: float
    expires_at: float | None
    attempts: int
    next_attempt_at: float
    sent_at: float | None
    given_up: str | None

    def state(self, now: float) -> str:
        """ "waiting", "expired", "sent", or why it was given up."""
        if self.sent_at is not None:
            return "sent"
        if self.given_up is not None:
            return self.given_up
        return "expired" if self.expires_at is not None and now >= self.expires_at else "waiting"


_WAITING = outbox.c.content.is_not(None)


def _due(now: float) -> sa.ColumnElement[bool]:
    return sa.and_(_WAITING, outbox.c.next_attempt_at <= now, outbox.c.leased_until <= now)


def _over(now: float) -> sa.ColumnElement[bool]:
    return sa.and_(_WAITING, outbox.c.expires_at <= now, outbox.c.leased_until <= now)


def is_for_nobody(user_id: int | None) -> bool:
    """Whether the mail stands in for that of an account which does not exist, so that both cost the same.

    It is taken and made, and then erased instead of sent.
    """
    return user_id is not None and user_id < 0


async def is_work(conn: AsyncConnection, now: float) -> bool:
    """Whether there is something to send or to give up: asked before a write transaction is begun."""
    return bool(await conn.scalar(sa.select(sa.exists().where(sa.or_(_due(now), _over(now))))))


async def drop_expired(conn: AsyncConnection, now: float) -> list[Gone]:
    """Give up what is not worth sending any more, and erase it. What is for nobody is not told."""
    over = sa.select(outbox.c.id).where(_over(now)).with_for_update(skip_locked=True)
    statement = (
        sa.update(outbox)
        .where(outbox.c.id.in_(over), _over(now))
        .values(content=None, given_up="expired")
        .returning(outbox.c.id, outbox.c.kind, outbox.c.user_id, outbox.c.attempts)
    )
    gone = [Gone(*row) for row in await conn.execute(statement)]
    return [mail for mail in gone if not is_for_nobody(mail.user_id)]


async def take(conn: AsyncConnection, now: float, lease: float) -> Taken | None:
    """Take the mail that was tried least, the oldest first, for `lease` seconds; None when nothing is due.

    One statement: of several senders on one database, one gets it, and the
    others the next ones. A sender that dies keeps it only until
    its lease runs out.
    """
    first = sa.select(outbox.c.id).where(_due(now)).order_by(outbox.c.attempts, outbox.c.id).limit(1)
    statement = (
        sa.update(outbox)
        .where(
            outbox.c.id == first.with_for_update(skip_locked=True).scalar_subquery(),
            _due(now),
        )
        .values(leased_until=now + lease, attempts=outbox.c.attempts + 1)
        .returning(
            outbox.c.id,
            outbox.c.kind,
            outbox.c.user_id,
            outbox.c.recipient,
            outbox.c.content,
            outbox.c.created_at,
            outbox.c.expires_at,
            outbox.c.attempts,
            outbox.c.leased_until,
        )
    )
    row = (await conn.execute(statement)).first()
    return Taken(*row) if row is not None else None


async def record_sent(conn: AsyncConnection, mail_id: int, now: float) -> None:
    """Erase the content. True even of a mail that was superseded while it was under way."""
    await conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == mail_id)
        .values(content=None, sent_at=now, given_up=None, leased_until=0)
    )


async def record_retry(conn: AsyncConnection, taken: Taken, at: float) -> None:
    """Try again at `at`, unless the lease ran out meanwhile and another sender has it."""
    await conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == taken.id, outbox.c.leased_until == taken.leased_until)
        .values(next_attempt_at=at, leased_until=0)
    )


async def record_given_up(conn: AsyncConnection, taken: Taken, reason: str) -> bool:
    """Erase the content of what was refused for good. False when another sender has it meanwhile."""
    found = await conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == taken.id, outbox.c.leased_until == taken.leased_until, _WAITING)
        .values(content=None, given_up=reason, leased_until=0)
    )
    return bool(found.rowcount)


async def discard(conn: AsyncConnection, mail_id: int) -> None:
    """Delete what is for nobody."""
    await conn.execute(sa.delete(outbox).where(outbox.c.id == mail_id, outbox.c.user_id < 0))


async def forget(conn: AsyncConnection, now: float) -> None:
    """Delete rows of mails that were sent or given up long ago: they hold addresses of people."""
    old = sa.select(outbox.c.id).where(outbox.c.content.is_(None), outbox.c.created_at <= now - KEPT)
    await conn.execute(sa.delete(outbox).where(outbox.c.id.in_(old.with_for_update(skip_locked=True))))


async def entries(conn: AsyncConnection, limit: int) -> list[Entry]:
    """The newest first, without what is for nobody; the content stays where it is."""
    statement = (
        sa.select(
            outbox.c.id,
            outbox.c.kind,
            outbox.c.recipient,
            outbox.c.created_at,
            outbox.c.expires_at,
            outbox.c.attempts,
            outbox.c.next_attempt_at,
            outbox.c.sent_at,
            outbox.c.given_up,
        )
        .where(sa.or_(outbox.c.user_id.is_(None), outbox.c.user_id >= 0))
        .order_by(outbox.c.id.desc())
        .limit(limit)
    )
    return [Entry(*row) for row in await conn.execute(statement)]
