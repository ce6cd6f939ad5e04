"""Several Gatekeepers on one database behind a real nginx, each a process of its own that may be killed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.application import application
from tests.servers.faults import FaultProxy, fault_proxy
from tests.servers.postgres import PASSWORD as DATABASE_PASSWORD
from tests.servers.postgres import USER, postgres
from tests.servers.process import Server, free_port
from tests.stack.process import sign_in
from tests.stack.whole import PASSWORD

SECRET = "only-for-tests-" * 3
GATEKEEPER = [sys.executable, "-m", "gatekeeper"]

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 2000; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream gatekeepers {{
    {servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location / {{
      proxy_pass http://gatekeepers;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 2s;
      proxy_next_upstream error timeout http_503;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
"""


class Node:
    """One `gatekeeper serve` with a folder of its own."""

    def __init__(self, folder: Path, configuration: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        self.config = folder / "gatekeeper.yaml"
        self.config.write_text(f"listen: 127.0.0.1:{self.port}\ndata_dir: {folder}\n{configuration}")
        self.config.chmod(0o600)
        self.log = folder / "log"
        self._server = Server(
            [*GATEKEEPER, "serve", "--config", str(self.config)], self.log, self.ready, start_seconds=60.0
        )

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        """As when the machine loses its power."""
        self._server.kill()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._server.stop(60.0)

    def signal(self, number: int) -> None:
        self._server.signal(number)

    def ready(self) -> bool:
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as client:
                client.request("GET", "/_gate/readyz")
                return client.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    def run(self, *words: str, text: str = "") -> str:
        """`gatekeeper WORDS` with this node's configuration; what it printed."""
        done = subprocess.run(
            [*GATEKEEPER, *words, "--config", str(self.config)], input=text, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Cluster:
    """`port` is nginx's. `database` (and `store`, with Redis) stand between the nodes and their servers."""

    def __init__(self, folder: Path, port: int, nodes: list[Node], database: FaultProxy) -> None:
        self.folder = folder
        self.port = port
        self.nodes = nodes
        self.database = database

    def add_user(self, login: str, *roles: str) -> None:
        words = ["user", "add", login, "--password-stdin"]
        for role in roles:
            words += ["--role", role]
        self.nodes[0].run(*words, text=PASSWORD)

    def sign_in(self, login: str) -> str:
        """The Cookie header of a new session, made through nginx."""
        return sign_in(self.port, login)

    def ask(
        self, path: str = "/", cookie: str = "", *, method: str = "GET", node: Node | None = None
    ) -> tuple[int, bytes]:
        """Status and body; by way of nginx, or of one node. Status 0: no whole answer came."""
        port = self.port if node is None else node.port
        headers = {"Host": f"127.0.0.1:{self.port}", "Sec-Fetch-Mode": "cors"}
        if cookie:
            headers["Cookie"] = cookie
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as client:
                client.request(method, path, headers=headers)
                answer = client.getresponse()
                return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""


@contextlib.contextmanager
def cluster(number: int = 3, more: str = "") -> Iterator[Cluster]:
    """`number` nodes, serving; `more` is added to their configuration."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="gatekeeper-cluster-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # nginx's worker is another user
        server = postgres()
        database = stack.enter_context(fault_proxy(server.port))
        name = server.new_database().rpartition("/")[2]
        upstream, port = stack.enter_context(application()), free_port()
        configuration = (
            f"public_url: http://127.0.0.1:{port}\nupstream: http://127.0.0.1:{upstream}\n"
            f"trusted_proxies: 127.0.0.1\nsecret: {SECRET}\n"
            f"database: postgresql+psycopg://{USER}@127.0.0.1:{database.port}/{name}\n"
            f"database_password: {DATABASE_PASSWORD}\n"
            "rate_limits: {passwords: {client: unlimited, total: unlimited}}\n"
            f"{more}"
        )
        nodes = [Node(folder / f"node{index}", configuration) for index in range(number)]
        made = Cluster(folder, port, nodes, database)
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        stack.enter_context(_nginx(folder, port, nodes))
        yield made


@contextlib.contextmanager
def _nginx(folder: Path, port: int, nodes: list[Node]) -> Iterator[None]:
    servers = "\n    ".join(f"server 127.0.0.1:{node.port} max_fails=1 fail_timeout=1s;" for node in nodes)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, servers=servers))
    environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"}
    program = shutil.which("nginx", path=environment["PATH"])
    assert program is not None

    def answers() -> bool:
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as client:
                client.request("GET", "/_gate/healthz")
                return client.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    server = Server(
        [program, "-p", str(folder), "-c", str(config), "-e", "stderr"],
        folder / "nginx.log",
        answers,
        stop_signal=signal.SIGTERM,
    )
    server.start()
    try:
        yield
    finally:
        server.stop()
