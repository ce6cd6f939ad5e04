"""Ways to an identity provider and back: each is walked once.

Nothing is stored when one begins: the browser keeps it. What comes back is written down, so that of any
number of equal answers, from wherever, exactly one is redeemed. RFC 9700 section 4.2.4, ASVS 5.0 V10.2.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gatekeeper.accounts.rates import Attempt
from gatekeeper.accounts.tokens import spend
from gatekeeper.core.clock import Clock
from gatekeeper.storage.tables import tokens

if TYPE_CHECKING:
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.storage.engine import Database

PURPOSE = "sso"
"""Of the rows in `tokens`."""
_CLOCKS_APART = 60.0
"""Seconds after the end for which a used flow is remembered: another node's clock may be behind."""


class ProviderFlows:
    """Counts what comes back, and lets it through once."""

    def __init__(self, db: Database, rates: Rates, clock: Clock) -> None:
        self._db = db
        self._rates = rates
        self._clock = clock

    async def use(
        self, state: str, *, provider: str, expires_at: float, client: str = "", request_id: str = ""
    ) -> bool:
        """Whether the flow with this `state` comes back for the first time; False ever after.

        `expires_at` (seconds since the epoch) is when nobody accepts the flow any more. Raises `RateLimited`,
        `StoreUnavailable`.
        """
        now = self._clock()
        self._rates.check(Attempt.PROVIDER, account=provider, client=client)
        async with self._db.begin() as conn:
            await self._rates.take(
                conn, Attempt.PROVIDER, account=provider, client=client, request_id=request_id
            )
            over = sa.select(tokens.c.hash).where(
                tokens.c.purpose == PURPOSE, tokens.c.expires_at <= now - _CLOCKS_APART
            )
            free = over.with_for_update(skip_locked=True)
            await conn.execute(sa.delete(tokens).where(tokens.c.hash.in_(free)))
        try:
            async with self._db.begin() as conn:
                await spend(conn, PURPOSE, state, expires_at=expires_at, now=now)
        except IntegrityError:
            return False
        return True
