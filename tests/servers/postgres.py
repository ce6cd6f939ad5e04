"""A PostgreSQL of the test run's own: one cluster for a pytest process, a database for each test."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from gatekeeper.storage.postgresql import PostgresBackend
from tests.servers.process import Server, as_nobody, free_port

USER, PASSWORD = "gatekeeper", "a password of the test database"
TEMPLATE = "migrated"


class Postgres:
    """A running cluster."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gatekeeper-postgres-"))
        self.port = free_port()
        self._numbers = itertools.count(1)
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
        before = as_nobody(self.folder)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = self.folder / "data"
        made = subprocess.run(
            [*before, str(programs / "initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256"]
            + [f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C"],
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 300,
        }
        command = [*before, str(programs / "postgres"), "-D", str(data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is its fast way to stop.
        self.server = Server(command, self.folder / "log", self._answers, stop_signal=signal.SIGINT)
        self.server.start()
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        PostgresBackend(self.url(TEMPLATE), PASSWORD).migrate(create=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, empty: bool = False) -> str:
        """The address of a database with our tables, or of one without any."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {TEMPLATE}"))
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the owner of everything; its rows."""
        with self.connect(database) as connection:
            done = connection.execute(sql.SQL(statement))
            return done.fetchall() if done.description else []

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def close(self) -> None:
        self.server.stop()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


@functools.cache
def postgres() -> Postgres:
    """The cluster of this test process, started when it is first needed."""
    started = Postgres()
    atexit.register(started.close)
    return started
