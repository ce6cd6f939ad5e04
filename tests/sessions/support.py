"""A database with people in it, and session managers on it that stand for processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gatekeeper.core.session import EndReason, Session, SessionRecord, Timeouts, UserRecord
from gatekeeper.sessions.channels import make_invalidations
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.sessions.signing import session_key
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.storage.engine import Database
from gatekeeper.storage.tables import users
from tests.servers.databases import make_database

START = 1_000_000.0
NEVER = 3_600.0
SECRET = "first-secret-of-at-least-32-bytes!"
TIMEOUTS = Timeouts(idle=900.0, absolute=28_800.0, partial=600.0)


class HandClock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Directory:
    """`UserDirectory` on the users table, without roles."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, user_id: int) -> UserRecord | None:
        async with self._db.read() as conn:
            row = (await conn.execute(sa.select(users).where(users.c.id == user_id))).first()
        if row is None:
            return None
        return UserRecord(row.id, row.login, row.name, row.email, ("clerk",), row.disabled, row.session_epoch)


def next_step(record: SessionRecord, user: UserRecord) -> str:
    """People whose name is "two factors" need two."""
    return "totp" if user.name == "two factors" and not record.second_factor_at else ""


def headers_for(user: UserRecord) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"remote-user", user.login.encode()), (b"remote-name", user.name.encode()))


class World:
    """One database file; each `process` has a connection pool, a cache and a channel of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.errors: list[BaseException] = []
        self._stack = contextlib.AsyncExitStack()

    async def database(self) -> Database:
        db = make_database(self.folder)
        await db.open()
        self._stack.push_async_callback(db.close)
        return db

    async def process(
        self,
        *,
        timeouts: Timeouts = TIMEOUTS,
        running: bool = True,
        interval: float = 0.02,
        wrap: Callable[[SqlSessionStore], Any] = lambda store: store,
        **options: Any,
    ) -> SessionManager:
        """A manager as one process has it; with an `interval` of NEVER it hears nothing from others."""
        db = await self.database()
        settings: dict[str, Any] = {
            "secrets": [SECRET],
            "clock": self.clock,
            "invalidations": make_invalidations(db, on_error=self.errors.append, interval=interval),
            "confirm_delay": 0.0,
            "next_step": next_step,
            **options,
        }
        manager = SessionManager(
            wrap(SqlSessionStore(db)),
            Directory(db),
            timeouts=timeouts,
            headers_for=headers_for,
            on_error=self.errors.append,
            **settings,
        )
        if running:
            await self._stack.enter_async_context(manager)
        return manager

    async def add_user(self, login: str = "pat", name: str = "Pat") -> int:
        db = await self.database()
        async with db.begin() as conn:
            added = await conn.execute(
                sa.insert(users).values(login=login, login_key=login, name=name, created_at=self.clock())
            )
        key = added.inserted_primary_key
        assert key is not None
        return int(key[0])

    async def close(self) -> None:
        await self._stack.aclose()


def play(folder: Path, story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Run a story; an error that the background reported and the story did not take fails it."""

    async def played() -> None:
        world = World(folder)
        try:
            await story(world)
        finally:
            await world.close()
        assert world.errors == []

    asyncio.run(played())


async def sign_in(
    manager: SessionManager, user_id: int, *, remembered: bool = False
) -> tuple[Session, bytes]:
    session, cookie = await manager.start(
        user_id, methods="pwd", remembered=remembered, client="192.0.2.1", user_agent="Test/1.0"
    )
    return session, cookie.encode()


async def ask(manager: SessionManager, cookie: bytes, now: float) -> Session | EndReason:
    """As the gate asks: the cache, then the store."""
    answer = manager.peek(cookie, now)
    return answer if answer is not None else await manager.load(cookie, now)


async def eventually(condition: Callable[[], bool], *, within: float = 2.0) -> None:
    """Wait for what another task or process brings about; for real, because nobody injects that."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def record(number: int = 1, *, user_id: int = 1, at: float = START, **changes: Any) -> SessionRecord:
    made = SessionRecord(
        key=session_key(number.to_bytes(32, "big")),
        user_id=user_id,
        epoch=0,
        created_at=at,
        last_seen_at=at,
        remembered=False,
        methods="pwd",
        first_factor_at=at,
        second_factor_at=0.0,
        client="192.0.2.1",
        user_agent="Test/1.0",
    )
    return made._replace(**changes)
