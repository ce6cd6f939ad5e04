"""The ways to a new password, in a world of accounts."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts import rows
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.expiry import Expiry, ExpiryPolicy
from gatekeeper.accounts.invitations import Invitations
from gatekeeper.accounts.new_password import NewPasswords
from gatekeeper.accounts.notices import Notices
from gatekeeper.accounts.password_change import PasswordChanges
from gatekeeper.accounts.passwords import PasswordPolicy
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.accounts.recovery import Recovery
from gatekeeper.core.session import SessionRecord, UserRecord
from gatekeeper.mail.outbox import Outbox
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, World

SEVERAL = [
    "violet tractor mumbles",
    "seven quiet harbours",
    "marble onion telescope",
    "crooked lantern picnic",
    "salty ribbon volcano",
    "gentle walrus orbit",
    "copper thimble sunrise",
]
"""Passwords; the first is the one that Pat begins with."""
HOUR = 3600.0
DAY = 86_400.0


class Ways:
    """Every way to a new password, under one policy."""

    def __init__(
        self,
        w: World,
        *,
        policy: PasswordPolicy = PasswordPolicy(),  # noqa: B008 - immutable
        expiry: ExpiryPolicy = ExpiryPolicy(90 * DAY, 30 * DAY, 14 * DAY),  # noqa: B008
        mail: bool = True,
    ) -> None:
        def clock() -> float:
            return w.now

        outbox = w.outbox if mail else Outbox(w.db, w.box, clock, enabled=False)
        notices = Notices(outbox, w.links, w.audit)
        self.new = NewPasswords(w.db, w.hasher, policy)
        self.changes = PasswordChanges(
            w.db, w.hasher, self.new, w.lockout, w.rates, w.devices, outbox, w.links, notices, clock
        )
        self.recovery = Recovery(w.db, self.new, w.lockout, w.rates, outbox, w.links, w.audit, notices, clock)
        self.invitations = Invitations(w.db, self.new, w.rates, outbox, w.links, notices, clock)
        self.expiry = Expiry(w.db, expiry, outbox, w.links, notices, clock)


def two_passwords_at_once(w: World) -> Rates:
    """For one account, and for one browser that it knows; no other limit but for mails."""
    passwords = Limits(None, Rate(2, 300.0), None)
    limits = {Attempt.PASSWORD: passwords, Attempt.MAIL: Limits(None, None, None)}
    return Rates(w.audit, lambda: w.now, secret="0123456789abcdef" * 2, limits=limits)


async def pat_with_mail(w: World, **fields: object) -> UserRecord:
    return await w.pat(email=LOGIN, **fields)


async def reread(w: World, user: UserRecord) -> UserRecord:
    found = await w.users.get(user.id)
    assert found is not None
    return found


async def password_is(w: World, user: UserRecord, password: str) -> bool:
    async with w.db.read() as conn:
        key = await conn.scalar(sa.select(tables.users.c.login_key).where(tables.users.c.id == user.id))
        found = await rows.read_credentials(conn, str(key))
    assert found is not None
    return await w.hasher.verify(found.password_hash, password)


async def mailed_token(w: World, kind: str) -> str:
    """The token in the newest waiting mail of this kind."""
    found = re.fullmatch(
        r"https://gate\.example\.com/_gate/\w+\?token=(.+)", (await w.mails(kind))[-1]["link"]
    )
    assert found is not None
    return found[1]


async def add_session(w: World, user: UserRecord, key: bytes) -> None:
    record = SessionRecord(key, user.id, user.session_epoch, w.now, w.now, False, "pwd", w.now, 0.0, "", "")
    values = {name: value for name, value in record._asdict().items() if name in tables.sessions.c}
    await w.change(sa.insert(tables.sessions).values(values))


async def live_sessions(w: World) -> set[bytes]:
    return {row["key"] for row in await w.rows(tables.sessions) if row["ended_at"] is None}


async def refusal(work: Awaitable[object]) -> AccountError:
    with pytest.raises(AccountError) as caught:
        await work
    return caught.value


def everything_stored(folder: Path) -> bytes:
    """All bytes of the database, its write-ahead log included."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("gatekeeper.db*")))
