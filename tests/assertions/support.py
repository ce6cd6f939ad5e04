"""A database, its signing keys as several processes see them, and a clock that goes when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import sqlalchemy as sa

from gatekeeper.assertions.keys import SigningKeys
from gatekeeper.audit.log import AuditLog
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database
from tests.accounts.support import Lines
from tests.servers.databases import make_database

SECRET = "a-secret-that-every-test-here-has-in-common"
OTHER_SECRET = "another-secret-that-nobody-else-here-knows"
START = 1_800_000_000.0
DAY = 86_400.0


class Story:
    """`db` is shared by every process; `now` is the time."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = START
        self.ticks = 0.0
        self.lines = Lines()

    def process(
        self, secret: str = SECRET, *, rotate: float | None = 30 * DAY, db: Database | None = None
    ) -> SigningKeys:
        """One more process, as it is before it has looked."""
        audit = AuditLog(db or self.db, lambda: self.now, self.lines)
        return SigningKeys(
            db or self.db,
            audit,
            lambda: self.now,
            secrets=[secret],
            rotate=rotate,
            monotonic=lambda: self.ticks,
        )

    async def rows(self) -> list[Any]:
        async with self.db.read() as conn:
            return list(await conn.execute(sa.select(tables.signing_keys).order_by("number")))


@contextlib.asynccontextmanager
async def story(folder: Path) -> AsyncIterator[Story]:
    db = make_database(folder)
    await db.open()
    try:
        yield Story(db)
    finally:
        await db.close()


def tell(folder: Path, told: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        async with story(folder) as made:
            await told(made)

    asyncio.run(run())


def session_of(
    user: UserRecord | None = None,
    *,
    key: bytes = b"k" * 32,
    methods: str = "pwd",
    first: float = START - 100.0,
    second: float = 0.0,
    seen: float = START,
    created: float = START - 100.0,
    grace: float = 0.0,
) -> Session:
    user = user or person()
    record = SessionRecord(
        key, user.id, 0, created, seen, False, methods, first, second, "192.0.2.1", "", grace_until=grace
    )
    return Session(record, user, "", ())


def person(login: str = "pat", *roles: str, number: int = 7, **more: Any) -> UserRecord:
    return UserRecord(number, login, "Pat Doe", "pat@example.com", roles, False, 0, **more)


def unverified(token: bytes) -> dict[str, Any]:
    """What a token says, whoever signed it."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
