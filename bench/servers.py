"""The servers that are compared: nginx, HAProxy, Gatekeeper; and the applications behind them."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from bench.processes import Server, cores, descriptors, free_port, running

PASSWORD = "four random words here"
SIZES = {"1k": 1_000, "100k": 100_000, "100m": 100_000_000}
QUESTION = "/_gate/auth/nginx"
ROOT = Path(__file__).resolve().parent.parent

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {body}
}}
"""
_FILES = "server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; default_type text/html; }}"
_PROXY = """\
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream files {{ server 127.0.0.1:{files}; keepalive 64; keepalive_requests 100000000; }}
  upstream echo {{ server 127.0.0.1:{echo}; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /auth {{ return 200; }}
    location = /_gate/auth/nginx {{ return 200; }}
    location = /ws {{
      proxy_pass http://echo; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
    location / {{
      proxy_pass http://files; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_max_temp_file_size 0;
    }}
  }}
"""
_HAPROXY = """\
global
  maxconn {most}
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  http-request return status 200 if {{ path /auth /_gate/auth/nginx }}
  use_backend echo if {{ path /ws }}
  default_backend files
backend files
  server one 127.0.0.1:{files}
backend echo
  server one 127.0.0.1:{echo}
"""
_GATEKEEPER = """\
public_url: http://127.0.0.1:{public}
listen: 127.0.0.1:{port}
upstream: http://127.0.0.1:{upstream}
data_dir: {data}
trusted_proxies: 127.0.0.1
limits: {{connections: 20000, connections_per_client: 20000}}
session: {{idle_timeout: 8h, absolute_timeout: 8h}}
rate_limits: {{passwords: {{client: unlimited, account: unlimited, total: unlimited}}}}
log: {{level: warning}}
"""


@contextlib.contextmanager
def nginx(name: str, folder: Path, body: str, port: int, core: int) -> Iterator[Server]:
    config = folder / f"{name}.conf"
    config.write_text(_NGINX.format(folder=folder, name=name, body=body))
    with running(
        name, ["nginx", "-p", str(folder), "-c", str(config), "-e", "stderr"], port, core=core, workers=True
    ) as server:
        yield server


@contextlib.contextmanager
def files(folder: Path) -> Iterator[Server]:
    """The application behind all proxies: nginx with three files, on the core that is not measured."""
    root = folder / "root"
    root.mkdir()
    for name, size in SIZES.items():
        (root / name).write_bytes(b"x" * size)
    port = free_port()
    with nginx("files", folder, _FILES.format(port=port, root=root), port, cores()[1]) as server:
        yield server


@contextlib.contextmanager
def echo() -> Iterator[Server]:
    """A WebSocket echo server."""
    port = free_port()
    command = [sys.executable, "-m", "bench.echo", str(port)]
    with running("echo", command, port, core=cores()[1], cwd=ROOT) as server:
        yield server


@contextlib.contextmanager
def nginx_proxy(folder: Path, files_port: int, echo_port: int) -> Iterator[Server]:
    port = free_port()
    body = _PROXY.format(port=port, files=files_port, echo=echo_port)
    with nginx("nginx", folder, body, port, cores()[0]) as server:
        yield server


@contextlib.contextmanager
def haproxy(folder: Path, files_port: int, echo_port: int) -> Iterator[Server]:
    port = free_port()
    config = folder / "haproxy.cfg"
    most = min(30_000, descriptors() // 2 - 50)  # it insists on two descriptors for each
    config.write_text(_HAPROXY.format(port=port, files=files_port, echo=echo_port, most=most))
    with running("HAProxy", ["haproxy", "-db", "-f", str(config)], port, core=cores()[0]) as server:
        yield server


@contextlib.contextmanager
def gatekeeper(
    folder: Path,
    name: str,
    upstream: int,
    *,
    auth: bool = False,
    public: int | None = None,
    pinned: bool = True,
) -> Iterator[tuple[Server, str]]:
    """`gatekeeper serve` as an operator runs it, and the Cookie header of somebody signed in.

    With `auth` the gate stands around an empty application in its own process: the cost of the decision.
    `public` is the port in people's browsers, where another proxy listens there.
    """
    port, data = free_port(), folder / name
    data.mkdir()
    config = data / "gatekeeper.yaml"
    config.write_text(_GATEKEEPER.format(port=port, public=public or port, upstream=upstream, data=data))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "gatekeeper",
            "user",
            "add",
            "ada",
            "--password-stdin",
            "--config",
            str(config),
        ],
        input=PASSWORD.encode(),
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    module = ["bench.auth_app", str(config)] if auth else ["gatekeeper", "serve", "--config", str(config)]
    command = [sys.executable, "-m", *module]
    core = cores()[0] if pinned else ",".join(map(str, cores()))
    with running("Gatekeeper", command, port, core=core, workers=not auth, cwd=ROOT) as server:
        yield server, sign_in(port, public=public)


def sign_in(port: int, login: str = "ada", *, public: int | None = None) -> str:
    """Over HTTP, without a script; the Cookie header to send from then on. Raises RuntimeError."""
    host = f"127.0.0.1:{public or port}"
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/_gate/login", headers={"Host": host})
        page = connection.getresponse()
        cookie = page.getheader("set-cookie", "").split(";")[0]
        token = page.read().decode().split('name="csrf" value="')[1].split('"')[0]
        form = {"csrf": token, "login": login, "password": PASSWORD, "next": "/"}
        connection.request(
            "POST",
            "/_gate/login",
            urlencode(form),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": cookie,
                "Host": host,
                "Origin": f"http://{host}",
            },
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 303:
            raise RuntimeError(f"sign-in was answered {answer.status}")
        values = [value for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    return next(value.split(";")[0] for value in values if value.startswith("gatekeeper="))
