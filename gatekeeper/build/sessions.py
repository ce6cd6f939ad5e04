"""The composition root's part about where sessions are: settings → the store."""

from __future__ import annotations

from gatekeeper.build.values import make_timeouts
from gatekeeper.core.protocols import SessionStore
from gatekeeper.sessions.redis_client import make_client
from gatekeeper.sessions.redis_store import RedisSessionStore
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


def make_session_store(settings: Settings, db: Database) -> SessionStore:
    """Redis where the configuration names one, else the database."""
    session = settings.session
    if not session.store:
        return SqlSessionStore(db)
    password = session.store_password.get_secret_value() if session.store_password is not None else ""
    return RedisSessionStore(make_client(session.store, password), db, make_timeouts(settings))


async def close_session_store(store: SessionStore) -> None:
    """Give up its own connections, where it has some."""
    if isinstance(store, RedisSessionStore):
        await store.aclose()
