"""The connection to Redis: one server, or the master that Sentinels name. Times and retries are ours.

redis-py by itself tries again and again: a server that does not answer would cost fifteen seconds.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

SOCKET = 0.9
"""Seconds for connecting, and for one answer."""
CONNECTIONS = 20


def make_client(url: str, password: str = "") -> Redis:
    """For `redis://host:port/db`, `rediss://…` or `redis+sentinel://host:port,host:port/service?db=0`.

    Connects when it is first used. The settings have checked the address.
    """
    parts = urlsplit(url)
    # Once more on a new connection when the old one was closed (a restart); never when nothing was answered.
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    common = {
        "username": parts.username if parts.scheme != "redis+sentinel" else None,
        "password": password or None,
        "socket_timeout": SOCKET,
        "socket_connect_timeout": SOCKET,
        "retry": retry,
        "max_connections": CONNECTIONS,
        "client_name": "gatekeeper",
    }
    if parts.scheme == "redis+sentinel":
        number = int(parse_qs(parts.query).get("db", ["0"])[0])
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
            [_address(place) for place in parts.netloc.rpartition("@")[2].split(",")],
            sentinel_kwargs={
                "socket_timeout": SOCKET / 2,
                "socket_connect_timeout": SOCKET / 2,
                "retry": Retry(NoBackoff(), 0),
            },
            db=number,
            **common,
        )
        client: Redis = sentinel.master_for(parts.path.strip("/"))
        return client
    return Redis(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        db=int(parts.path.strip("/") or 0),
        ssl=parts.scheme == "rediss",
        **common,  # type: ignore[arg-type]
    )


def sentinels_of(client: Redis) -> list[Redis]:
    """Connections to the Sentinels that `client` asks for its master; empty where there are none."""
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def _address(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return (host.strip("[]"), int(port)) if host else (place, 26379)
