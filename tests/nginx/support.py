"""A real proxy with the files of deploy/, Gatekeeper behind it, and an application that records bytes."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import trustme

from tests.server.wire import read_answers
from tests.stack.conftest import free_port
from tests.stack.whole import PASSWORD, Whole, whole

DEPLOY = Path(__file__).parents[2] / "deploy"
HOST = "office.example.com"
SESSION = "__Host-gatekeeper"
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}

RULES = [
    {"path": "/health", "allow": "public"},
    {"path": "/denied/**", "allow": "deny"},
    {"path": "/payments/**", "methods": ["POST", "DELETE"], "allow": {"roles": ["payments"]}},
    {"path": "/payments/**", "allow": {"roles": ["payments", "audit"]}},
]


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass
class Site:
    """`port` is the proxy's; `gate` Gatekeeper itself."""

    port: int
    gate: Whole
    trust: ssl.SSLContext
    folder: Path
    cookies: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"

    def connect_plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def connect(self) -> ssl.SSLSocket:
        return self.trust.wrap_socket(self.connect_plain(), server_hostname=HOST)

    def ask(
        self,
        target: str | bytes,
        headers: Mapping[str, str] | list[tuple[str, str]] = PAGE,
        *,
        method: str = "GET",
        cookie: str = "",
        body: bytes = b"",
        host: str = "",
    ) -> Answer:
        """One request over a connection of its own; `target` goes out as it is."""
        target = target.encode("latin-1") if isinstance(target, str) else target
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        lines = [method.encode() + b" " + target + b" HTTP/1.1"]
        lines += [f"{name}: {value}".encode("latin-1") for name, value in pairs]
        lines += [f"Host: {host or f'{HOST}:{self.port}'}".encode(), b"Connection: close"]
        if cookie:
            lines.append(b"Cookie: " + cookie.encode())
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        with self.connect() as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            answers, _ = read_answers(connection, 1)
        answer = answers[0]
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
        return Answer(answer.status, pairs, answer.body)

    def verify(self, assertion: str) -> dict[str, Any]:
        """What it says, verified as an application does: with the keys that the proxy leads to."""
        keys = jwt.PyJWKSet.from_json(self.ask("/_gate/jwks.json").body.decode())
        key = keys[jwt.get_unverified_header(assertion)["kid"]]
        claims: dict[str, Any] = jwt.decode(
            assertion, key, algorithms=["ES256"], audience=self.origin, issuer=self.origin
        )
        return claims

    def person(self, login: str, *roles: str) -> str:
        """The Cookie header of somebody who is signed in; another session each time."""
        if login not in self.users:
            self.users[login] = self.gate.add_user(login, *roles)
        return "__Host-" + self.gate.cookie(self.users[login])

    def sign_in(self, login: str, place: str) -> tuple[str, str]:
        """Through the page, as a browser without scripts; the session cookie and where one is sent."""
        page = self.ask(place)
        csrf = _set_cookies(page)
        token = re.search(r'name="csrf" value="([^"]+)"', page.body.decode())
        back = re.search(r'name="next" value="([^"]*)"', page.body.decode())
        assert token and back, page.body
        form = {"csrf": token[1], "login": login, "password": PASSWORD, "next": back[1].replace("&amp;", "&")}
        answer = self.ask(
            "/_gate/login",
            {**PAGE, "Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded"},
            method="POST",
            cookie="; ".join(csrf),
            body=urlencode(form).encode(),
        )
        assert answer.status == 303, (answer.status, answer.body)
        found = [cookie for cookie in _set_cookies(answer) if cookie.startswith(SESSION + "=")]
        return found[0], answer.get("location")


def _set_cookies(answer: Answer) -> list[str]:
    return [value.split(";")[0] for name, value in answer.headers if name.lower() == "set-cookie"]


@contextlib.contextmanager
def gatekeeper(folder: Path, port: int, **settings: Any) -> Iterator[Whole]:
    """Gatekeeper for `https://office.example.com:port`, asked by a proxy on this machine."""
    given: dict[str, Any] = {
        "upstream": "none",
        "public_url": f"https://{HOST}:{port}",
        "trusted_proxies": ["127.0.0.1"],
        "rules": RULES,
    }
    given |= settings
    data = folder / "data"
    data.mkdir()
    with whole(data, given.pop("upstream"), **given) as gate:
        yield gate


def certificate(folder: Path) -> ssl.SSLContext:
    """Writes fullchain.pem and key.pem for the site; what trusts them."""
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Put this machine's places into a file of deploy/: each stands in it, or the test is about nothing."""
    for old, new in values.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`command` until the block ends; waits until it listens on `port`."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    said = log.read_text(errors="replace")
                    assert process.poll() is None and time.monotonic() < deadline, said
                    time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(20)


_MAIN = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    log_format asked '$uri $upstream_cache_status';
    access_log {folder}/asked.log asked;
    log_subrequest on;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    include conf.d/*.conf;
    include site.conf;
}}
"""


def write_main(folder: Path) -> Path:
    """An nginx.conf that reads conf.d/ and site.conf beside it."""
    etc = folder / "etc"
    (etc / "conf.d").mkdir(parents=True)
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is for nobody else
    (etc / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    return etc / "nginx.conf"


def write_nginx(folder: Path, site: str, *, port: int, gate: int, application: int) -> Path:
    """deploy/nginx with this machine's ports, as /etc/nginx would have it; nginx.conf in it."""
    conf = write_main(folder)
    etc = conf.parent
    (etc / "gatekeeper").mkdir()
    source = DEPLOY / "nginx"
    for path in (source / "gatekeeper").glob("*.conf"):
        (etc / "gatekeeper" / path.name).write_text(path.read_text())
    common = (source / "conf.d/gatekeeper.conf").read_text()
    (etc / "conf.d/gatekeeper.conf").write_text(fill_in(common, {"127.0.0.1:8080": f"127.0.0.1:{gate}"}))
    if "cached" in site:
        cache = (source / "conf.d/gatekeeper-cache.conf").read_text()
        cache = fill_in(cache, {"/run/nginx-gatekeeper": str(folder / "cache")})
        (etc / "conf.d/gatekeeper-cache.conf").write_text(cache)
    values = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/nginx/tls": str(folder),
    }
    if site != "reverse-proxy":
        values["127.0.0.1:3000"] = f"127.0.0.1:{application}"
    (etc / "site.conf").write_text(fill_in((source / f"sites/{site}.conf").read_text(), values))
    return conf


@contextlib.contextmanager
def nginx_site(
    folder: Path, site: str, application: int, *, unreachable: bool = False, **settings: Any
) -> Iterator[Site]:
    """One of deploy/nginx/sites, running in front of what listens on port `application`.

    `unreachable`: nginx asks where nobody listens.
    """
    port = free_port()
    trust = certificate(folder)
    if site == "reverse-proxy":
        settings.setdefault("upstream", f"http://127.0.0.1:{application}")
    with gatekeeper(folder, port, **settings) as gate:
        asked = free_port() if unreachable else gate.port
        conf = write_nginx(folder, site, port=port, gate=asked, application=application)
        command = ["/usr/sbin/nginx", "-c", str(conf), "-p", str(folder)]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        with running(command, port, folder / "nginx.log"):
            yield Site(port, gate, trust, folder)


def head_of(arrived: bytes) -> dict[str, list[str]]:
    """The header lines of a recorded request, by lower-case name."""
    found: dict[str, list[str]] = {}
    for line in arrived.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.lower(), []).append(value.strip())
    return found


def direct(port: int, path: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    """A question to Gatekeeper itself."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
