"""A new password for somebody who proved the old one, and one that an administrator has generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.accounts import passwords, rows
from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.accounts.rates import Attempt
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import Undecidable
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import Why
from gatekeeper.core.users import login_key
from gatekeeper.mail.kinds import MailKind
from gatekeeper.storage.tables import users

if TYPE_CHECKING:
    from gatekeeper.accounts.devices import Devices
    from gatekeeper.accounts.hashing import PasswordHasher
    from gatekeeper.accounts.lockout import Lockout, Ticket
    from gatekeeper.accounts.new_password import NewPasswords
    from gatekeeper.accounts.notices import Notices
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.mail.links import Links
    from gatekeeper.mail.outbox import Outbox
    from gatekeeper.storage.engine import Database


class PasswordChanges:
    """Changes of a password that is known, and resets by an administrator."""

    def __init__(
        self,
        db: Database,
        hasher: PasswordHasher,
        new: NewPasswords,
        lockout: Lockout,
        rates: Rates,
        devices: Devices,
        outbox: Outbox,
        links: Links,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._db = db
        self._hasher = hasher
        self._new = new
        self._lockout = lockout
        self._rates = rates
        self._devices = devices
        self._outbox = outbox
        self._links = links
        self._notices = notices
        self._clock = clock

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""
        return self._new.least(user)

    def rules(self, user: UserRecord) -> list[str]:
        """All rules for `user`, in English sentences."""
        return self._new.rules(user)

    async def change(
        self,
        user: UserRecord,
        new: str,
        *,
        current: str | None,
        by: Source,
        keep: bytes | None,
        device: str | None = None,
    ) -> UserRecord:
        """Put `new` in the place of the password; the account afterwards.

        `current` is None only where the password was proved in this very sign-in. The session with the key
        `keep` goes on, all others end; links to a new password stop working. `device` is the browser's device
        cookie: a known one has its own count of wrong passwords and its own rate. ASVS 5.0 V6.2.3, V7.4.3.
        Raises `RateLimited`, `InvalidCredentials` (counted by the lockout), `AccountError` (`bad_password`
        with its reasons, `unknown_user`, `disabled`, `changed_meanwhile`), `Overloaded`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            await self._rates.take(
                conn,
                Attempt.PASSWORD,
                account=login_key(user.login),
                client=by.client,
                device=await self._devices.find(conn, user.id, device),
                request_id=by.request_id,
            )
        if current is not None:
            await self._prove(user, current, by, device)
        judged = await self._new.judge(user, new)
        async with self._db.begin() as conn:
            now = self._clock()
            if (await rows.locked_user(conn, user.id)).disabled:
                raise AccountError("disabled", "the account is disabled")
            kept = () if keep is None else (keep,)
            await self._new.store(conn, user.id, judged, now=now, keep=kept, proved=True)
            changed = await rows.locked_user(conn, user.id)
            await self._notices.password_changed(conn, EventKind.PASSWORD_CHANGED, changed, by, now)
            return changed

    async def generate(self, user_id: int, *, by: Source, mail: bool) -> str:
        """Reset by an administrator: a generated password, which must be changed at the next sign-in.

        Unlocks the account and ends its sessions. With `mail` the password is mailed and "" returned;
        otherwise it is returned, and kept nowhere. Raises `AccountError` (`unknown_user`; with `mail`
        `no_mail`, `no_address`), `Overloaded`, `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            user = await rows.read_user(conn, user_id=user_id)
        if user is None:
            raise AccountError("unknown_user", "there is no such account")
        if mail:
            check_mailable(self._outbox, user)
        password, judged = await self._new.generated(user)
        async with self._db.begin() as conn:
            now = self._clock()
            await self._new.store(conn, user_id, judged, now=now, must_change=Why.RESET)
            await self._lockout.unlock(conn, user_id, by)
            user = await rows.locked_user(conn, user_id)
            if mail:
                values = {"link": self._links.sign_in(), "password": password}
                await self._outbox.post(conn, MailKind.GENERATED_PASSWORD, user=user, values=values)
                await self._notices.write(conn, EventKind.PASSWORD_GENERATED, user, by, mailed=True)
            else:
                await self._notices.password_changed(conn, EventKind.PASSWORD_GENERATED, user, by, now)
        return "" if mail else password

    async def _prove(self, user: UserRecord, current: str, by: Source, device: str | None) -> None:
        async with self._db.begin() as conn:
            ticket = await self._lockout.reserve(conn, user.id, device)
            query = sa.select(users.c.password_hash).where(users.c.id == user.id)
            encoded = await conn.scalar(query)
        usable = ticket is not None and len(current) <= passwords.MAX_LENGTH
        try:
            right = await self._hasher.verify(encoded if usable else None, current)
        except Undecidable:
            await self._give_back(ticket)
            raise
        if right:
            await self._give_back(ticket)
            return
        async with self._db.begin() as conn:
            await self._lockout.failed(conn, ticket, client=by.client, request_id=by.request_id)
            details = {"reason": "wrong_password" if ticket is not None else "locked"}
            await self._notices.write(conn, EventKind.PASSWORD_CHANGE_REFUSED, user, by, **details)
        raise InvalidCredentials

    async def _give_back(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            async with self._db.begin() as conn:
                await self._lockout.passed(conn, ticket)


def check_mailable(outbox: Outbox, user: UserRecord) -> None:
    """Raise `AccountError` `no_mail` or `no_address` when nothing can be mailed to `user`."""
    if not outbox.enabled:
        raise AccountError("no_mail", "no mail can be sent: the configuration has no `mail` section")
    if not user.email:
        raise AccountError("no_address", f"the account {user.login} has no e-mail address")
