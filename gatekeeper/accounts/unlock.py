"""Unlocking an account by the link in the mail. Looking at the link consumes nothing; the button does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.accounts import rows, tokens
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.lockout import PURPOSE
from gatekeeper.audit.events import Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import UserRecord

if TYPE_CHECKING:
    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.storage.engine import Database


class Unlock:
    """Redeems unlock links. ASVS 5.0 V6.4.2."""

    def __init__(self, db: Database, lockout: Lockout, clock: Clock) -> None:
        self._db = db
        self._lockout = lockout
        self._clock = clock

    async def peek(self, token: str) -> UserRecord | None:
        """Whose account `token` would unlock now, None for nobody's. Consumes nothing: mail scanners and
        previews open links. Raises `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            user_id = await tokens.peek(conn, PURPOSE, token, self._clock())
            return None if user_id is None else await rows.read_user(conn, user_id=user_id)

    async def unlock(self, token: str, *, client: str = "", request_id: str = "") -> UserRecord:
        """Unlock the account, whether its lock still lasts or not; of any number of callers one succeeds.

        Raises `AccountError` `link_closed`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            now = self._clock()
            user_id = await tokens.peek(conn, PURPOSE, token, now)
            user = None if user_id is None else await rows.read_user(conn, user_id=user_id, lock=True)
            if user is None or await tokens.use(conn, PURPOSE, token, now) != user.id:
                raise AccountError("link_closed", "this link was used, has expired or was replaced")
            await self._lockout.unlock(conn, user.id, Source(user.login, client, request_id))
        return user
