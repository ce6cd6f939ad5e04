"""Several Gatekeepers on one database behind a real nginx, each a process of its own that may be killed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from click.testing import CliRunner

from gatekeeper.cli import main
from tests.cluster.application import application
from tests.seeds.mailbox import Mailbox, mail_server
from tests.servers.faults import FaultProxy, fault_proxy
from tests.servers.postgres import PASSWORD as DATABASE_PASSWORD
from tests.servers.postgres import USER, postgres
from tests.servers.process import Server, free_port
from tests.stack.process import sign_in
from tests.stack.whole import PASSWORD

SECRET = "only-for-tests-" * 3
GATEKEEPER = [sys.executable, "-m", "gatekeeper"]
_NO_LIMIT = "{client: unlimited, account: unlimited, total: unlimited}"

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
      # Not http_503: when one node cannot ask the database, the others cannot either. All would count as
      # failed, and nginx would answer by itself: with 502, and without Retry-After.
      proxy_next_upstream error timeout;
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
        # In a thread: commands have an event loop of their own.
        with ThreadPoolExecutor(1) as thread:
            asked = [*words, "--config", str(self.config)]
            done = thread.submit(CliRunner().invoke, main, asked, input=text).result()
        assert done.exit_code == 0, done.output
        return done.output

    def try_to_run(self, *words: str) -> tuple[int, str]:
        """The same when it may fail: exit code, and what it printed."""
        with ThreadPoolExecutor(1) as thread:
            asked = [*words, "--config", str(self.config)]
            done = thread.submit(CliRunner().invoke, main, asked).result()
        return done.exit_code, done.output


class Cluster:
    """`port` is nginx's. `database` and `smtp` stand between the nodes and their servers."""

    def __init__(
        self,
        port: int,
        nodes: list[Node],
        operator: Node,
        database: FaultProxy,
        smtp: FaultProxy,
        mailbox: Mailbox,
    ) -> None:
        self.port = port
        self.nodes = nodes
        self.operator = operator
        """Does not serve; reaches the database whatever happens between it and the others."""
        self.database = database
        self.smtp = smtp
        self.mailbox = mailbox

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_user(self, login: str, *roles: str) -> None:
        words = ["user", "add", login, "--email", f"{login}@example.com", "--password-stdin"]
        for role in roles:
            words += ["--role", role]
        self.operator.run(*words, text=PASSWORD)

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
        mailbox = stack.enter_context(mail_server())
        smtp = stack.enter_context(fault_proxy(mailbox.port))

        def configuration(database_port: int) -> str:
            return (
                f"public_url: http://127.0.0.1:{port}\nupstream: http://127.0.0.1:{upstream}\n"
                f"trusted_proxies: 127.0.0.1\nsecret: {SECRET}\n"
                f"database: postgresql+psycopg://{USER}@127.0.0.1:{database_port}/{name}\n"
                f"database_password: {DATABASE_PASSWORD}\n"
                "mail: {from: office@example.com, "
                f"smtp: {{host: 127.0.0.1, port: {smtp.port}, tls: none}}}}\n"
                f"rate_limits: {{passwords: {_NO_LIMIT}, mails: {_NO_LIMIT}}}\n"
                f"{more}"
            )

        nodes = [Node(folder / f"node{index}", configuration(database.port)) for index in range(number)]
        operator = Node(folder / "operator", configuration(server.port))
        made = Cluster(port, nodes, operator, database, smtp, mailbox)
        for node in nodes:
            stack.callback(node.stop)
        with ThreadPoolExecutor(number) as threads:
            list(threads.map(Node.start, nodes))
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
