"""Settings and services → what is counted, sampled and shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.core.clock import Clock
from gatekeeper.gate.shell import Gate
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.storage.tables import outbox, sessions
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.metrics import Metrics
from gatekeeper.telemetry.sampler import Sampler, Stored
from gatekeeper.upstream.pool import ConnectionPool

if TYPE_CHECKING:
    from gatekeeper.build.services import Services


def make_sampler(
    metrics: Metrics,
    services: Services,
    gate: Gate,
    pools: Sequence[ConnectionPool],
    ready: Mapping[str, Callable[[], Awaitable[bool]]],
    clock: Clock,
) -> Sampler:
    """Writes down, again and again, how the parts of one process are."""
    gauges: dict[int, Callable[[], int]] = {
        at.LOADS: lambda: services.sessions.loads,
        at.WEBSOCKETS: lambda: len(gate.sockets),
        at.POOL_OPEN: lambda: sum(pool.open for pool in pools),
        at.POOL_IDLE: lambda: sum(pool.idle for pool in pools),
        at.POOL_WAITING: lambda: sum(pool.waiting for pool in pools),
    }
    return Sampler(metrics.cells, gauges, ready, lambda: _stored(services, clock))


async def _stored(services: Services, clock: Clock) -> Stored:
    """Raises StoreUnavailable.

    Sessions are counted in the database alone. Redis forgets them by itself, also from its indexes of users:
    a number could only be had by asking for each.
    """
    counted = isinstance(services.session_store, SqlSessionStore)
    alive = sa.select(sa.func.count()).where(sessions.c.ended_at.is_(None), sessions.c.grace_until == 0)
    waiting = sa.select(sa.func.count(), sa.func.min(outbox.c.created_at)).where(
        outbox.c.sent_at.is_(None), outbox.c.given_up.is_(None)
    )
    async with services.db.read() as conn:
        number = int(await conn.scalar(alive) or 0) if counted else None
        mails, oldest = (await conn.execute(waiting)).one()
    return Stored(number, int(mails), max(0.0, clock() - oldest) if oldest is not None else 0.0)
