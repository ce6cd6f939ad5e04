"""The composition root's part about where sessions are: settings → the store."""

from __future__ import annotations

from urllib.parse import urlsplit

from redis.asyncio import Redis

from gatekeeper.build.values import make_timeouts
from gatekeeper.core.clock import Clock
from gatekeeper.core.protocols import SessionStore
from gatekeeper.doctor.session_store import StoreCheck
from gatekeeper.sessions.redis_client import make_client, sentinels_of
from gatekeeper.sessions.redis_store import PREFIX, RedisSessionStore
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


def make_session_store(settings: Settings, db: Database) -> SessionStore:
    """Redis where the configuration names one, else the database."""
    session = settings.session
    if not session.store:
        return SqlSessionStore(db)
    return RedisSessionStore(_client(settings), db, make_timeouts(settings))


def make_store_check(settings: Settings, *, clock: Clock) -> StoreCheck:
    """What doctor asks of the Redis that `session.store` names."""
    client = _client(settings)
    service = urlsplit(settings.session.store).path.strip("/")
    return StoreCheck(client, sentinels_of(client), service=service, prefix=PREFIX, clock=clock)


async def close_session_store(store: SessionStore) -> None:
    """Give up its own connections, where it has some."""
    if isinstance(store, RedisSessionStore):
        await store.aclose()


def _client(settings: Settings) -> Redis:
    session = settings.session
    password = session.store_password.get_secret_value() if session.store_password is not None else ""
    return make_client(session.store, password)
