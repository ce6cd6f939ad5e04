"""Sending what waits: a background task that loses nothing, at the price of sending some mail twice."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import structlog
from jinja2 import TemplateError

from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.mail import queue
from gatekeeper.mail.backoff import delay
from gatekeeper.mail.compose import Composer
from gatekeeper.mail.kinds import MailKind
from gatekeeper.mail.message import BadAddress
from gatekeeper.mail.outbox import unseal
from gatekeeper.mail.templates import Facts
from gatekeeper.mail.transport import Letter, NotNow, Refused, Transport

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog
    from gatekeeper.storage.engine import Database

POLL = 5.0
"""Seconds between two looks for mails that other processes posted or whose time has come."""
MARGIN = 30.0
"""Seconds by which a lease is longer than an attempt may take."""
STOP_SECONDS = 5.0
"""How long a mail that is being sent may take when the process stops."""
_FORGET_EVERY = 3_600.0

log = structlog.get_logger("gatekeeper.mail")


class Sender:
    """Sends the mails of one database, beside any number of other senders.

    Each mail is taken by an atomic statement, so that one sender works on it. Delivery is at least once: a
    process killed between sending and writing that down sends again when its lease has run out, with the same
    Message-ID.
    """

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        composer: Composer,
        transport: Transport,
        audit: AuditLog,
        clock: Clock,
        *,
        timeout: float = 60.0,
        jitter: Callable[[], float] = random.random,
        on_error: Callable[[BaseException], None],
    ) -> None:
        """`timeout`: seconds for one mail; `jitter` returns 0 to 1 (see `backoff.delay`)."""
        self._db = db
        self._box = box
        self._composer = composer
        self._transport = transport
        self._audit = audit
        self._clock = clock
        self._timeout = timeout
        self._jitter = jitter
        self._on_error = on_error
        self._posted = asyncio.Event()
        self._stopping = False
        self._forgot_at = float("-inf")

    def wake(self) -> None:
        """Something was posted: look at once."""
        self._posted.set()

    async def run(self) -> None:
        """Send until `stop`. An error is reported, and the next look is taken all the same."""
        while not self._stopping:
            posted = self._posted.is_set()
            self._posted.clear()
            try:
                if posted or await self._is_work():
                    while not self._stopping and await self.step():
                        pass
                await self._forget()
            except StoreUnavailable as error:
                self._on_error(error)
            await self._pause()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the block runs. At its end a mail under way has STOP_SECONDS, or its lease runs out."""
        tasks = TaskKeeper(self._on_error)
        task = tasks.start(self.run(), name="mail sender")
        try:
            yield
        finally:
            self.stop()
            await asyncio.wait([task], timeout=STOP_SECONDS)
            await tasks.close()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL):
                await self._posted.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """Take no other mail; `run` returns when the one under way is done."""
        self._stopping = True
        self._posted.set()

    async def step(self) -> bool:
        """Send one mail that is due; False when there is none. Raises StoreUnavailable."""
        now = self._clock()
        async with self._db.begin() as conn:
            gone = await queue.drop_expired(conn, now)
            taken = await queue.take(conn, now, self._timeout + MARGIN)
            for mail in gone:
                await self._record(conn, mail, "expired")
        for mail in gone:
            log.warning("mail expired before it could be sent", mail=mail.id, kind=mail.kind)
        if taken is None:
            return False
        await self._deliver(taken)
        return True

    async def _deliver(self, taken: queue.Taken) -> None:
        try:
            # In a thread: requests would feel it, and the load would tell that there is a mail.
            letter = await asyncio.to_thread(self._compose, taken)
            if queue.is_for_nobody(taken.user_id):
                await self._discard(taken)
                return
            async with asyncio.timeout(self._timeout):
                await self._transport.send(letter)
        except (Refused, BadAddress) as error:
            await self._give_up(taken, "refused", str(error))
        except SealBroken as error:
            await self._give_up(taken, "unreadable", str(error))
        except (NotNow, TimeoutError) as error:
            await self._again(taken, str(error) or "took too long")
        except TemplateError as error:
            # Its text may quote a value; the operator mends the template, and the mail goes out.
            await self._again(taken, f"template of {taken.kind} failed: {type(error).__name__}")
        except Exception as error:
            self._on_error(error)
            await self._again(taken, type(error).__name__)
        else:
            async with self._db.begin() as conn:
                await queue.record_sent(conn, taken.id, self._clock())
            log.info("mail sent", mail=taken.id, kind=taken.kind, attempts=taken.attempts)

    async def _discard(self, taken: queue.Taken) -> None:
        async with self._db.begin() as conn:
            await queue.discard(conn, taken.id)

    def _compose(self, taken: queue.Taken) -> Letter:
        content = unseal(self._box, taken.content)
        return self._composer.compose(
            MailKind(taken.kind),
            Facts(content.login, content.name, content.values, taken.created_at, taken.expires_at),
            taken.recipient,
            message_id=hashlib.sha256(taken.content).hexdigest()[:32],
            now=self._clock(),
        )

    async def _again(self, taken: queue.Taken, why: str) -> None:
        wait = delay(taken.attempts, self._jitter())
        async with self._db.begin() as conn:
            await queue.record_retry(conn, taken, self._clock() + wait)
        log.warning(
            "mail not sent yet",
            mail=taken.id,
            kind=taken.kind,
            attempts=taken.attempts,
            again_in=round(wait),
            why=why,
        )

    async def _give_up(self, taken: queue.Taken, reason: str, why: str) -> None:
        async with self._db.begin() as conn:
            gone = queue.Gone(taken.id, taken.kind, taken.user_id, taken.attempts)
            if await queue.record_given_up(conn, taken, reason):
                await self._record(conn, gone, reason)
        log.error("mail given up", mail=taken.id, kind=taken.kind, reason=reason, why=why)

    async def _record(self, conn: AsyncConnection, mail: queue.Gone, reason: str) -> None:
        await self._audit.record(
            EventKind.MAIL_GIVEN_UP,
            user_id=mail.user_id,
            actor="system",
            details={"mail": mail.id, "mail_kind": mail.kind, "reason": reason, "attempts": mail.attempts},
            conn=conn,
        )

    async def _is_work(self) -> bool:
        async with self._db.read() as conn:
            return await queue.is_work(conn, self._clock())

    async def _forget(self) -> None:
        now = self._clock()
        if now >= self._forgot_at + _FORGET_EVERY:
            self._forgot_at = now
            async with self._db.begin() as conn:
                await queue.forget(conn, now)
