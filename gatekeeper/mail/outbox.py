"""Posting a mail: one row in the caller's transaction, its content encrypted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
import structlog

from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import SPECS, MailKind, check_values
from gatekeeper.storage.commits import after_commit
from gatekeeper.storage.tables import outbox

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.storage.engine import Database

PURPOSE = "outbox"
"""Of the SecretBox that seals what waits."""
SUPERSEDED = "superseded"

log = structlog.get_logger("gatekeeper.mail")


class Content(NamedTuple):
    """What a waiting mail is made from, when it is sent."""

    login: str
    name: str
    values: dict[str, str]


class Outbox:
    """Takes mails for sending. Nothing is posted while `enabled` is false: no mail is configured."""

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        clock: Clock,
        *,
        enabled: bool = True,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`box` is the one for PURPOSE. `enabled` says whether something sends what is posted. `jitter`
        returns 0 to 1: when within its `kinds.Spec.spread` a mail is sent.
        """
        self.enabled = enabled
        self._db = db
        self._box = box
        self._clock = clock
        self._jitter = jitter
        self._warned = False
        self._on_post: list[Callable[[], None]] = []

    def on_post(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a mail to be sent at once was posted and its transaction is committed."""
        self._on_post.append(wake)

    async def reseal(self, conn: AsyncConnection) -> int:
        """Encrypt everything that waits under the first secret; how many. Raises SealBroken."""
        waiting = sa.select(outbox.c.id, outbox.c.content).where(outbox.c.content.is_not(None))
        rows = (await conn.execute(waiting)).all()
        for row in rows:
            resealed = self._box.reseal(row.content)
            await conn.execute(sa.update(outbox).where(outbox.c.id == row.id).values(content=resealed))
        return len(rows)

    async def post(
        self,
        conn: AsyncConnection,
        kind: MailKind,
        *,
        user: UserRecord,
        values: Mapping[str, str] | None = None,
        expires_at: float | None = None,
        recipient: str | None = None,
    ) -> bool:
        """Store one mail to `user` (or to `recipient`); it is sent once the transaction of `conn` commits.

        For a user with a negative id it is made like any other and then dropped (see `queue.is_for_nobody`).

        `values` as `kinds.SPECS` says; `expires_at` (seconds since the epoch) is by default now and the
        kind's lifetime.
        Returns False when there is no address or no mail is configured. Raises ValueError for wrong values,
        StoreUnavailable.
        """
        values = dict(values or {})
        check_values(kind, values)
        if not self.enabled:
            self._warn()
            return False
        address = user.email if recipient is None else recipient
        if not address:
            return False
        now, spread = self._clock(), SPECS[kind].spread
        if SPECS[kind].newest_only:
            await conn.execute(
                sa.update(outbox)
                .where(
                    outbox.c.kind == kind.value, outbox.c.user_id == user.id, outbox.c.content.is_not(None)
                )
                .values(content=None, given_up=SUPERSEDED)
            )
        await conn.execute(
            sa.insert(outbox).values(
                kind=kind.value,
                user_id=user.id,
                recipient=address,
                content=seal(self._box, Content(user.login, user.name, values)),
                created_at=now,
                expires_at=now + SPECS[kind].lifetime if expires_at is None else expires_at,
                next_attempt_at=now + spread * self._jitter(),
            )
        )
        if spread:
            return True  # found when its time has come
        for wake in self._on_post:
            after_commit(conn, wake)
        return True

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning("no mail is sent: the configuration has no `mail` section")


def seal(box: SecretBox, content: Content) -> bytes:
    """The bytes for the `content` column."""
    return box.seal(json.dumps(content._asdict(), ensure_ascii=False).encode("utf-8"))


def unseal(box: SecretBox, sealed: bytes) -> Content:
    """The content again. Raises SealBroken."""
    return Content(**json.loads(box.open(sealed)))
