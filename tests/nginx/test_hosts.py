"""Several applications behind one nginx: the host that is judged is the one whose application answers."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nginx.others import haproxy
from tests.nginx.support import HOST, gatekeeper, running, write_nginx
from tests.server.wire import read_answers
from tests.stack.conftest import free_port
from tests.stack.whole import Whole
from tests.wall.recording import Recording, recording

_SERVER = """
server {{
    listen 127.0.0.1:{port};
    server_name {name}.example.com;
    include gatekeeper/{include}.conf;
    location / {{
        include gatekeeper/protect.conf;
        proxy_pass http://127.0.0.1:{application};
    }}
}}
"""


@dataclass
class Town:
    """Everybody may read the wiki; reports are for audit. `port` is nginx's."""

    port: int
    gate: Whole
    wiki: Recording
    reports: Recording
    eve: str

    def ask(self, target: str, *hosts: str, cookie: str = "") -> int:
        lines = [f"GET {target} HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close"]
        lines += [f"Cookie: {cookie}"] if cookie else []
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answers, _ = read_answers(connection, 1)
        return answers[0].status


@pytest.fixture(scope="module", params=["auth-request", "auth-request-cached"])
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    port = free_port()
    wiki_host, reports_host = f"wiki.example.com:{port}", f"reports.example.com:{port}"
    applications = [
        {"name": "wiki", "at": wiki_host, "url": "none", "rules": [{"path": "/open/**", "allow": "public"}]},
        {"name": "reports", "at": reports_host, "url": "none", "rules": [{"allow": {"roles": ["audit"]}}]},
    ]
    settings = {"public_url": f"http://{wiki_host}", "allow_insecure_public_url": True}
    with (
        recording() as wiki,
        recording() as reports,
        gatekeeper(folder, port, upstream=applications, **settings) as gate,
    ):
        conf = write_nginx(folder, request.param, port=port, gate=gate.port, application=wiki.port)
        include = "server-cached" if "cached" in request.param else "server"
        site = "".join(
            _SERVER.format(port=port, name=name, include=include, application=found.port)
            for name, found in (("wiki", wiki), ("reports", reports))
        )
        (conf.parent / "site.conf").write_text(site)
        command = ["/usr/sbin/nginx", "-c", str(conf), "-p", str(folder)]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        with running(command, port, folder / "nginx.log"):
            yield Town(port, gate, wiki, reports, gate.cookie(gate.add_user("eve")))


def test_each_host_has_its_own_rules_in_every_spelling(town: Town) -> None:
    for wiki in ("wiki.example.com", "WIKI.Example.com", "wiki.example.com."):
        assert town.ask("/open/x", f"{wiki}:{town.port}") == 200
        assert town.ask(f"http://{wiki}:{town.port}/open/x", f"wiki.example.com:{town.port}") == 200
    for reports in ("reports.example.com", "REPORTS.example.com", "reports.example.com."):
        assert town.ask("/open/x", f"{reports}:{town.port}") == 401
        assert town.ask("/x", f"{reports}:{town.port}", cookie=town.eve) == 403
    assert town.reports.arrived == []


def test_haproxy_leads_another_applications_host_nowhere(tmp_path: Path) -> None:
    office = {"name": "office", "url": "none"}
    wiki = {"name": "wiki", "at": "wiki.example.com", "url": "none", "rules": [{"allow": "public"}]}
    with recording() as application, haproxy(tmp_path, application.port, upstream=[office, wiki]) as site:
        assert site.ask("/x", host="wiki.example.com").status == 421
        assert site.ask(f"https://{HOST}:{site.port}/x", host="wiki.example.com").status in (400, 421)
        assert application.arrived == []
        ada = site.person("ada")
        for host in (f"{HOST}:{site.port}", f"{HOST.upper()}:{site.port}", f"{HOST}.:{site.port}"):
            assert site.ask("/x", host=host, cookie=ada).status == 200


@pytest.mark.parametrize("first", ["wiki", "reports"])
def test_two_names_in_one_request_reach_neither_application(town: Town, first: str) -> None:
    """nginx chooses the server by the name in the request line, and hands on the one in Host."""
    second = "reports" if first == "wiki" else "wiki"
    said = f"{second}.example.com:{town.port}"
    assert town.ask("/open/x", f"wiki.example.com:{town.port}", cookie=town.eve) == 200  # kept, where it is
    town.wiki.clear()
    for name in (first, first.upper(), f"{first}.example.com."):
        host = name if "." in name else f"{name}.example.com"
        for target in (f"http://{host}/open/x", f"http://{host}:{town.port}/open/x"):
            for cookie in ("", town.eve):
                assert town.ask(target, said, cookie=cookie) == 403, target
    assert town.ask("/open/x", f"{first}.example.com:{town.port}", said) in (400, 401, 403)
    assert town.reports.arrived == []
    assert all(b"\r\nHost: wiki." in arrived.head for arrived in town.wiki.arrived)
