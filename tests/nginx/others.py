"""The real Caddy and HAProxy with the files of deploy/, Gatekeeper behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.nginx.support import DEPLOY, HOST, Site, certificate, fill_in, gatekeeper, running
from tests.stack.conftest import free_port


@contextlib.contextmanager
def caddy(folder: Path, application: int, *, unreachable: bool = False, **settings: Any) -> Iterator[Site]:
    """deploy/caddy in front of what listens on port `application`; see `support.nginx_site`."""
    port, trust = free_port(), certificate(folder)
    with gatekeeper(folder, port, **settings) as gate:
        asked = free_port() if unreachable else gate.port
        text = (DEPLOY / "caddy/Caddyfile").read_text()
        values = {
            "office.example.com {\n": f"https://{HOST}:{port} {{\n\tbind 127.0.0.1\n"
            f"\ttls {folder}/fullchain.pem {folder}/key.pem\n",
            "127.0.0.1:8080": f"127.0.0.1:{asked}",
            "127.0.0.1:3000": f"127.0.0.1:{application}",
        }
        config = folder / "Caddyfile"
        options = "{\n\tadmin off\n\tauto_https off\n}\n"
        config.write_text(options + fill_in(text, values))
        command = ["/usr/bin/env", f"HOME={folder}", f"XDG_DATA_HOME={folder}", "caddy", "run"]
        command += ["--config", str(config), "--adapter", "caddyfile"]
        with running(command, port, folder / "caddy.log"):
            yield Site(port, gate, trust, folder)


@contextlib.contextmanager
def haproxy(folder: Path, application: int, *, unreachable: bool = False, **settings: Any) -> Iterator[Site]:
    """deploy/haproxy, likewise."""
    port, trust = free_port(), certificate(folder)
    both = (folder / "fullchain.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "office.pem").write_text(both)
    with gatekeeper(folder, port, **settings) as gate:
        asked = free_port() if unreachable else gate.port
        text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
        values = {
            "bind :443": f"bind 127.0.0.1:{port}",
            "/etc/haproxy/tls": str(folder),
            "/etc/haproxy/gatekeeper.lua": str(DEPLOY / "haproxy/gatekeeper.lua"),
            "127.0.0.1:8080": f"127.0.0.1:{asked}",
            "127.0.0.1:3000": f"127.0.0.1:{application}",
        }
        config = folder / "haproxy.cfg"
        config.write_text(fill_in(text, values))
        with running(["/usr/sbin/haproxy", "-db", "-f", str(config)], port, folder / "haproxy.log"):
            yield Site(port, gate, trust, folder)


PROXIES = {"caddy": caddy, "haproxy": haproxy}
