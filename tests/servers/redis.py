"""A Redis of the test run's own; a database number for each test."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.servers.process import Server, free_port

PASSWORD = "a password of the test store"


class RedisServer:
    """One running redis-server."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatekeeper-redis-"))
        self.port = free_port()
        command = ["setpriv", "--pdeathsig=KILL", "redis-server", "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--requirepass", PASSWORD]
        self.server = Server([*command, *options], self.folder / "log", self._answers)
        self.server.start()

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=5)

    def close(self) -> None:
        self.server.stop()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


@functools.cache
def redis_server() -> RedisServer:
    """The server of this test process, started when it is first needed."""
    started = RedisServer()
    atexit.register(started.close)
    return started


SENTINEL = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor sessions 127.0.0.1 {master} 2
sentinel auth-pass sessions {password}
sentinel down-after-milliseconds sessions 1000
sentinel failover-timeout sessions 4000
"""


@contextlib.contextmanager
def sentinels(folder: Path, master: int) -> Iterator[list[int]]:
    """Three Sentinels that call the Redis on the port `master` "sessions"; their ports."""
    started: list[Server] = []
    ports = [free_port() for _ in range(3)]
    try:
        for port in ports:
            place = folder / f"sentinel-{port}"
            place.mkdir()
            config = place / "sentinel.conf"
            config.write_text(
                SENTINEL.format(port=port, folder=place, master=master, password=f'"{PASSWORD}"')
            )

            def answers(port: int = port) -> bool:
                with redis.Redis(port=port) as client:
                    try:
                        return bool(client.ping())
                    except redis.RedisError:
                        return False

            command = ["setpriv", "--pdeathsig=KILL", "redis-sentinel", str(config)]
            started.append(Server(command, place / "log", answers))
            started[-1].start()
        yield ports
    finally:
        for server in started:
            server.stop()
