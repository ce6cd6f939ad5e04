"""A Redis of the test run's own; a database number for each test."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
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
