"""Accounts on a real database with a cheap hasher that counts, and a clock that stands still."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gatekeeper.accounts.admin_link import AdministratorLink
from gatekeeper.accounts.devices import Devices
from gatekeeper.accounts.hashing import Cost, PasswordHasher
from gatekeeper.accounts.lockout import Lockout, LockoutPolicy
from gatekeeper.accounts.rates import Attempt, Limits, Rates
from gatekeeper.accounts.sign_in import SignIn
from gatekeeper.accounts.unlock import Unlock
from gatekeeper.accounts.users import Users
from gatekeeper.audit.events import Source
from gatekeeper.audit.log import AuditLog
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.mail.links import Links
from gatekeeper.mail.outbox import PURPOSE as OUTBOX_PURPOSE
from gatekeeper.mail.outbox import Outbox, unseal
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database
from tests.servers.databases import make_database

PASSWORD = "violet tractor mumbles"
OTHER_PASSWORD = "seven quiet harbours"
LOGIN = "pat@example.com"
BY = Source("cli:test", "192.0.2.7", "req-1")
START = 1_800_000_000.0
SECRET = "not a secret: every test has this one"
UNLIMITED = dict.fromkeys(Attempt, Limits(None, None, None))


class CountingHasher(PasswordHasher):
    """The real thing at a low cost; keeps every hash that argon2 really worked on, the dummy too."""

    def __init__(self, cost: Cost = Cost(memory_kib=64, passes=1), *, queue: int = 64) -> None:  # noqa: B008
        super().__init__(cost, queue=queue)
        self.verified: list[str] = []
        self.hashed = 0
        self.before_answer: Callable[[], Awaitable[object]] | None = None

    async def verify(self, encoded: str | None, password: str) -> bool:
        right = await super().verify(encoded, password)
        if self.before_answer is not None:
            await self.before_answer()
        return right

    async def hash(self, password: str) -> str:
        self.hashed += 1
        return await super().hash(password)

    def _verify(self, encoded: str, password: str) -> bool:
        self.verified.append(encoded)
        return super()._verify(encoded, password)


class Lines:
    """Stands in for structlog: keeps each line."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def info(self, event: str, /, **fields: Any) -> None:
        self.seen.append({"event": event, **fields})


@dataclass
class World:
    """Everything that a story about accounts needs."""

    db: Database
    hasher: CountingHasher
    audit: AuditLog
    lines: Lines
    users: Users
    sign_in: SignIn
    link: AdministratorLink
    devices: Devices
    lockout: Lockout
    rates: Rates
    outbox: Outbox
    box: SecretBox
    links: Links
    unlock: Unlock
    now: float = START

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.db.read() as conn:
            query = sa.select(table).order_by(*table.primary_key.columns)
            return [dict(row) for row in (await conn.execute(query)).mappings()]

    async def kinds(self) -> list[str]:
        return [row["kind"] for row in await self.rows(tables.audit_events)]

    async def change(self, statement: sa.Executable) -> None:
        async with self.db.begin() as conn:
            await conn.execute(statement)

    def use(self, *, policy: LockoutPolicy | None = None, rates: Rates | None = None) -> None:
        """Sign in under another policy or other limits from now on."""

        def clock() -> float:
            return self.now

        self.rates = rates or self.rates
        if policy is not None:
            self.lockout = Lockout(
                policy, clock, devices=self.devices, audit=self.audit, outbox=self.outbox, links=self.links
            )
            self.unlock = Unlock(self.db, self.lockout, clock)
        self.sign_in = self.sign_in_with(self.hasher)

    def sign_in_with(self, hasher: PasswordHasher) -> SignIn:
        """Another `SignIn` on the same database, as another process has one."""
        return SignIn(
            self.db,
            hasher,
            self.audit,
            lambda: self.now,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            outbox=self.outbox,
        )

    async def complete(self, user: UserRecord, device: str | None = None) -> str:
        """Finish a sign-in whose every step is done; the device cookie."""
        record = SessionRecord(
            b"k" * 32, user.id, 0, self.now, self.now, False, "pwd", self.now, 0.0, "192.0.2.7", "Firefox"
        )
        return await self.sign_in.completed(
            Session(record, user, "", ()), device=device, client="192.0.2.7", user_agent="Firefox"
        )

    async def mails(self, kind: str) -> list[dict[str, str]]:
        """The values of every mail of this kind that waits."""
        return [
            unseal(self.box, row["content"]).values
            for row in await self.rows(tables.outbox)
            if row["kind"] == kind and row["content"] is not None
        ]

    async def pat(self, **fields: Any) -> UserRecord:
        return await self.users.add(LOGIN, by=BY, **{"password": PASSWORD, "name": "Pat Example", **fields})


@contextlib.asynccontextmanager
async def world(folder: Path, hasher: CountingHasher | None = None) -> AsyncIterator[World]:
    db = make_database(folder)
    await db.open()
    hasher = hasher or CountingHasher()
    lines = Lines()

    def clock() -> float:
        return made.now

    audit = AuditLog(db, clock, lines)
    users = Users(db, hasher, audit, clock)
    box = SecretBox([SECRET], OUTBOX_PURPOSE)
    outbox, links = Outbox(db, box, clock), Links("https://gate.example.com", "/_gate")
    devices, rates = Devices(clock), Rates(audit, clock, secret=SECRET, limits=UNLIMITED)
    lockout = Lockout(LockoutPolicy(), clock, devices=devices, audit=audit, outbox=outbox, links=links)
    made = World(
        db=db,
        hasher=hasher,
        audit=audit,
        lines=lines,
        users=users,
        sign_in=SignIn(
            db, hasher, audit, clock, lockout=lockout, rates=rates, devices=devices, outbox=outbox
        ),
        link=AdministratorLink(db, users, audit, clock),
        devices=devices,
        lockout=lockout,
        rates=rates,
        outbox=outbox,
        box=box,
        links=links,
        unlock=Unlock(db, lockout, clock),
    )
    try:
        yield made
    finally:
        hasher.close()
        await db.close()


def tell(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """Run one story in a new world."""

    async def told() -> None:
        async with world(folder) as made:
            await story(made)

    asyncio.run(told())
