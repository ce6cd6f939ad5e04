"""Putting a new password in the place of the old one: what every way to a new password has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from gatekeeper.accounts import passwords, tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.passwords import PasswordPolicy
from gatekeeper.core.session import UserRecord
from gatekeeper.mail.kinds import MailKind
from gatekeeper.mail.outbox import SUPERSEDED
from gatekeeper.storage.locks import hold_user
from gatekeeper.storage.revocations import revoke_user
from gatekeeper.storage.tables import devices, outbox, password_history, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.storage.engine import Database

RECOVERY = "recovery"
INVITATION = "invitation"
"""Purposes of the tokens that lead to a new password; a new password makes them pointless."""
_POINTLESS = tuple(
    kind.value
    for kind in (
        MailKind.RECOVERY,
        MailKind.INVITATION,
        MailKind.GENERATED_PASSWORD,
        MailKind.PASSWORD_EXPIRES,
    )
)


class Judged(NamedTuple):
    """A password that may be stored, if the one it was compared with is still there."""

    encoded: str
    replaces: str | None


class NewPasswords:
    """Judges, hashes and stores new passwords."""

    def __init__(self, db: Database, hasher: PasswordHasher, policy: PasswordPolicy) -> None:
        self._db = db
        self._hasher = hasher
        self._policy = policy

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""
        return self._policy.least(user)

    def rules(self, user: UserRecord) -> list[str]:
        """All rules for `user` in English sentences."""
        return passwords.rules(min_length=self.least(user), history=self._policy.history)

    async def first(self, user: UserRecord, password: str) -> str:
        """The hash of a password for an account without one. Raises as `judge`."""
        await self._follow_rules(user, password)
        return await self._hasher.hash(password)

    async def judge(self, user: UserRecord, password: str) -> Judged:
        """Judge and hash, before and outside any transaction.

        Each comparison with an earlier password waits in line for the hashing worker by itself, so that
        others' sign-ins get their turns. Raises `AccountError` `bad_password`, `Overloaded`,
        `StoreUnavailable`.
        """
        await self._follow_rules(user, password)
        present, earlier = await self._used_before(user.id)
        if present is not None and await self._is(present, password):
            raise self._refusal(user, [passwords.CURRENT])
        for encoded in earlier:
            if await self._is(encoded, password):
                raise self._refusal(user, [passwords.REUSED])
        return Judged(await self._hasher.hash(password), present)

    async def generated(self, user: UserRecord) -> tuple[str, Judged]:
        """A random password that follows the rules, and the same to be stored. Raises as `judge`."""
        password = await self.random(user)
        return password, await self.judge(user, password)

    async def random(self, user: UserRecord) -> str:
        """A random password that follows the rules. Raises `Overloaded`."""
        while True:
            password = passwords.generate(min_length=self.least(user))
            if not await self._problems(user, password):  # a short login may be in it by chance
                return password

    async def store(
        self,
        conn: AsyncConnection,
        user_id: int,
        judged: Judged,
        *,
        now: float,
        must_change: str = "",
        keep: Sequence[bytes] = (),
        proved: bool = False,
    ) -> None:
        """Store it in the caller's transaction, end the sessions but `keep`, and withdraw links to a new one.

        Mails that still wait with such a link, or with the password before, are not sent any more.

        Unless the old password was `proved`, no browser is trusted in place of the second factor any more.
        Raises `AccountError` `changed_meanwhile` when the password is no longer the one judged against.
        ASVS 5.0 V7.4.3.
        """
        await hold_user(conn, user_id)
        done = await conn.execute(
            sa.update(users)
            .where(users.c.id == user_id, users.c.password_hash.is_not_distinct_from(judged.replaces))
            .values(
                password_hash=judged.encoded,
                password_changed_at=now,
                must_change=must_change,
                reminded_at=None,
            )
        )
        if done.rowcount != 1:
            raise AccountError("changed_meanwhile", "the password was changed by somebody else just now")
        await self._remember(conn, user_id, judged.replaces, now)
        await tokens.withdraw(conn, RECOVERY, INVITATION, user_id=user_id)
        await conn.execute(
            sa.update(outbox)
            .where(outbox.c.user_id == user_id, outbox.c.kind.in_(_POINTLESS), outbox.c.content.is_not(None))
            .values(content=None, given_up=SUPERSEDED)
        )
        if not proved:
            await conn.execute(
                sa.update(devices).where(devices.c.user_id == user_id).values(trusted_until=None)
            )
        await revoke_user(conn, user_id, now, keep=keep)

    async def _remember(self, conn: AsyncConnection, user_id: int, encoded: str | None, now: float) -> None:
        """Keep the password given up, and forget those that may be chosen again."""
        mine = password_history.c.user_id == user_id
        if encoded is not None:
            await conn.execute(
                sa.insert(password_history).values(user_id=user_id, hash=encoded, at=now),
            )
        latest = (
            sa.select(password_history.c.id)
            .where(mine)
            .order_by(password_history.c.id.desc())
            .limit(self._policy.history - 1)
        )
        await conn.execute(sa.delete(password_history).where(mine, password_history.c.id.not_in(latest)))

    async def _used_before(self, user_id: int) -> tuple[str | None, Sequence[str]]:
        async with self._db.read() as conn:
            present = await conn.scalar(sa.select(users.c.password_hash).where(users.c.id == user_id))
            earlier = await conn.scalars(
                sa.select(password_history.c.hash)
                .where(password_history.c.user_id == user_id)
                .order_by(password_history.c.id.desc())
                .limit(self._policy.history - 1)
            )
            return present, earlier.all()

    async def _is(self, encoded: str, password: str) -> bool:
        return self._hasher.readable(encoded) and await self._hasher.verify(encoded, password)

    async def _follow_rules(self, user: UserRecord, password: str) -> None:
        problems = await self._problems(user, password)
        if problems:
            raise self._refusal(user, problems)

    async def _problems(self, user: UserRecord, password: str) -> Sequence[str]:
        return await self._hasher.judge(
            passwords.problems,
            password,
            login=user.login,
            min_length=self.least(user),
            known=(user.name, user.email),
        )

    def _refusal(self, user: UserRecord, problems: Sequence[str]) -> AccountError:
        least = self.least(user)
        said = [passwords.words(problem, min_length=least) for problem in problems]
        return AccountError("bad_password", " ".join(said), problems=problems, reasons=said, least=least)
