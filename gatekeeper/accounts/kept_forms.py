"""Forms that were posted into an ended session, kept for their owner to send again.

Encrypted, for `LIFETIME` seconds, for one user in one browser. Whoever else asks gets nothing, and what they
asked for is erased. Nothing is ever sent by itself, and nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.accounts.form_fields import field_names
from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.protocols import PostedForm
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.core.session import Ended, EndReason, UserRecord
from gatekeeper.storage.locks import hold_name, hold_user
from gatekeeper.storage.tables import kept_forms, users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog
    from gatekeeper.storage.engine import Database

PURPOSE = "kept_forms"
LIFETIME = 900.0
"""Seconds for which a form is kept, and for which a session counts as just ended."""
PER_USER = 5
"""Forms kept for one user; one more takes the oldest one's place."""
IN_ALL = 50
"""Forms of the largest size that fit in all; when there is no room, no more are kept."""
AT_ONCE = 4
"""Forms being read and encrypted at the same time in one process."""

_KEY_BYTES = 32
_CLEANING = 60.0
_BY_ITSELF = frozenset((EndReason.IDLE, EndReason.ABSOLUTE, EndReason.CLOSED))
"""Ends that nobody wanted. Who signed out, or was signed out by somebody, has nothing more to send."""


class Summary(NamedTuple):
    """What a kept form is, without its values."""

    key: str
    host: str
    target: bytes
    content_type: bytes
    names: list[str]
    size: int
    kept_at: float


class KeptForms:
    """Implements `core.protocols.FormKeeper`; the pages list and discard. Raises StoreUnavailable."""

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        audit: AuditLog,
        clock: Clock,
        *,
        ended: Callable[[bytes], Awaitable[Ended | None]],
        on_error: Callable[[BaseException], None],
        most: int,
    ) -> None:
        """`ended` says how the session of a cookie ended; `most` bytes of a body are kept."""
        self.most = most
        self._db = db
        self._box = box
        self._audit = audit
        self._clock = clock
        self._ended = ended
        self._on_error = on_error
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def owner(self, cookie: bytes) -> int | None:
        """See `FormKeeper.owner`."""
        ended = await self._ended(cookie)
        if ended is None or ended.reason not in _BY_ITSELF or self._clock() - ended.at > LIFETIME:
            return None
        return ended.user_id

    async def keep(
        self, user_id: int, form: PostedForm, browser: str | None, *, client: str, request_id: str
    ) -> str | None:
        """See `FormKeeper.keep`. None when it is too large, or when there are too many."""
        if len(form.body) > self.most or self._at_once.locked():
            return None
        known = browser if browser is not None and _decoded(browser) is not None else None
        mine = known or _encoded(secrets.token_bytes(_KEY_BYTES))
        key, held_by = secrets.token_bytes(_KEY_BYTES), _hash(mine)
        async with self._at_once:
            summary, content = await asyncio.to_thread(self._seal, _about(key, user_id, held_by), form)
            now = self._clock()
            async with self._db.begin(durable=False) as conn:
                if not await self._room(conn, user_id, now, len(form.body)):
                    return None
                await conn.execute(
                    sa.insert(kept_forms).values(
                        key=key,
                        user_id=user_id,
                        browser=held_by,
                        created_at=now,
                        expires_at=now + LIFETIME,
                        size=len(form.body),
                        summary=summary,
                        content=content,
                    )
                )
        await self._note(EventKind.FORM_KEPT, user_id, form, client, request_id)
        return mine

    async def list(self, user_id: int, browser: str | None) -> list[Summary]:
        """What is kept for this user in this browser, the oldest first. What it kept for others is erased."""
        if browser is None:
            return []
        held_by, now = _hash(browser), self._clock()
        async with self._db.read() as conn:
            rows = (
                await conn.execute(
                    sa.select(
                        kept_forms.c.key,
                        kept_forms.c.user_id,
                        kept_forms.c.summary,
                        kept_forms.c.size,
                        kept_forms.c.created_at,
                    )
                    .where(kept_forms.c.browser == held_by, kept_forms.c.expires_at > now)
                    .order_by(kept_forms.c.created_at)
                )
            ).all()
        found: list[Summary] = []
        gone: list[bytes] = []
        for key, owner, sealed, size, at in rows:
            try:
                if owner != user_id:
                    raise SealBroken("somebody else's")
                about = json.loads(self._open(_about(key, owner, held_by), sealed))
            except SealBroken:
                gone.append(key)
                continue
            target, kind = about["target"].encode("latin-1"), about["type"].encode("latin-1")
            found.append(Summary(_encoded(key), about["host"], target, kind, about["names"], size, at))
        if gone:
            async with self._db.begin() as conn:
                await _erase(conn, kept_forms.c.key.in_(gone))
        return found

    async def take(
        self, key: str, user: UserRecord, browser: str | None, *, client: str, request_id: str
    ) -> PostedForm | None:
        """See `FormKeeper.take`. One statement erases it: of any number in parallel one gets it."""
        raw = _decoded(key)
        if raw is None:
            return None
        held_by = _hash(browser or "")
        async with self._db.begin() as conn:
            row = (
                await conn.execute(
                    sa.delete(kept_forms)
                    .where(kept_forms.c.key == raw)
                    .returning(
                        kept_forms.c.user_id,
                        kept_forms.c.browser,
                        kept_forms.c.expires_at,
                        kept_forms.c.summary,
                        kept_forms.c.content,
                    )
                )
            ).first()
        if row is None or (row[0], row[1]) != (user.id, held_by) or row[2] <= self._clock():
            return None
        about = _about(raw, user.id, held_by)
        try:
            summary = json.loads(self._open(about, row[3]))
            body = await asyncio.to_thread(self._open, about, row[4])
        except SealBroken:
            return None
        target, kind = summary["target"].encode("latin-1"), summary["type"].encode("latin-1")
        form = PostedForm(summary["host"], target, kind, body)
        await self._note(EventKind.FORM_SENT, user.id, form, client, request_id)
        return form

    async def discard(self, key: str, user_id: int) -> None:
        """Erase it; somebody else's is left alone."""
        raw = _decoded(key)
        if raw is not None:
            async with self._db.begin() as conn:
                mine = (kept_forms.c.key == raw, kept_forms.c.user_id == user_id)
                await conn.execute(sa.delete(kept_forms).where(*mine))

    async def run(self) -> None:
        """Erase what nobody came for, for ever; an outage of the store is reported and ridden out."""
        while True:
            try:
                await self.clean()
            except StoreUnavailable as error:
                self._on_error(error)
            await asyncio.sleep(_CLEANING)

    async def clean(self) -> None:
        """Erase what has expired."""
        over = kept_forms.c.expires_at <= self._clock()
        async with self._db.read() as conn:
            any_over = (await conn.execute(sa.select(kept_forms.c.key).where(over).limit(1))).first()
        if any_over is not None:
            async with self._db.begin() as conn:
                await _erase(conn, over)

    async def _room(self, conn: AsyncConnection, user_id: int, now: float, size: int) -> bool:
        """Make room for one more; False when there is none, or nobody to keep it for."""
        await hold_user(conn, user_id)
        await hold_name(conn, "kept forms")  # what fits in all is counted before it is added to
        await _erase(conn, kept_forms.c.expires_at <= now)
        if await conn.scalar(sa.select(users.c.id).where(users.c.id == user_id)) is None:
            return False
        oldest_last = kept_forms.c.created_at.desc()
        mine = (
            await conn.scalars(
                sa.select(kept_forms.c.key).where(kept_forms.c.user_id == user_id).order_by(oldest_last)
            )
        ).all()
        if len(mine) >= PER_USER:
            await _erase(conn, kept_forms.c.key.in_(mine[PER_USER - 1 :]))
        total = await conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(kept_forms.c.size), 0)))
        return int(total or 0) + size <= IN_ALL * self.most

    def _seal(self, about: bytes, form: PostedForm) -> tuple[bytes, bytes]:
        summary = {
            "host": form.host,
            "target": form.target.decode("latin-1"),
            "type": form.content_type.decode("latin-1"),
            "names": field_names(form.content_type, form.body),
        }
        return self._box.seal(about + json.dumps(summary).encode()), self._box.seal(about + form.body)

    def _open(self, about: bytes, sealed: bytes) -> bytes:
        """What was sealed for this row. Raises SealBroken, also for another row's."""
        opened = self._box.open(sealed)
        if not opened.startswith(about):
            raise SealBroken("it was stored under something else")
        return opened[len(about) :]

    async def _note(
        self, kind: EventKind, user_id: int, form: PostedForm, client: str, request_id: str
    ) -> None:
        path = form.target.partition(b"?")[0].decode("latin-1")
        await self._audit.record(
            kind,
            user_id=user_id,
            client=client,
            request_id=request_id,
            details={"path": path, "size": len(form.body)},
        )


async def _erase(conn: AsyncConnection, which: sa.ColumnElement[bool]) -> None:
    """Erase several; what somebody takes or erases at this moment is left to them."""
    free = sa.select(kept_forms.c.key).where(which).with_for_update(skip_locked=True)
    await conn.execute(sa.delete(kept_forms).where(kept_forms.c.key.in_(free)))


def _about(key: bytes, user_id: int, browser: bytes) -> bytes:
    """What a row's content is bound to, so that it opens under no other key, user or browser."""
    return key + browser + user_id.to_bytes(8, "big")


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes | None:
    """The 32 bytes of a key or a browser's value; None for what is neither."""
    if len(text) != 43 or not text.isascii():
        return None
    try:
        raw = urlsafe_b64decode(text + "=")
    except ValueError:
        return None
    return raw if _encoded(raw) == text else None


def _hash(browser: str) -> bytes:
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).digest()
