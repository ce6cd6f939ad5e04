"""`gatekeeper nginx` prints what stands in deploy/nginx, and the real nginx does with it what it should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner

from gatekeeper.cli import main
from gatekeeper.cli.nginx import complaints, render
from gatekeeper.settings import make_settings
from tests.nginx.support import (
    DEPLOY,
    HOST,
    PAGE,
    Site,
    certificate,
    gatekeeper,
    head_of,
    running,
    write_main,
)
from tests.stack.conftest import free_port
from tests.wall.recording import Recording, recording

OFFICE: dict[str, Any] = {"public_url": f"https://{HOST}", "upstream": "http://127.0.0.1:3000"}


def settings(**changes: Any) -> Any:
    return make_settings(OFFICE | changes, create=False)


@pytest.fixture(scope="module")
def application() -> Iterator[Recording]:
    with recording() as found:
        yield found


def plain(text: str) -> list[str]:
    """Directives without comments, indentation and alignment."""
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_with_the_usual_places_it_prints_what_deploy_has() -> None:
    folder = DEPLOY / "nginx"

    def read(name: str) -> str:
        text = (folder / name).read_text()
        return re.sub(r"include (gatekeeper/\S+);", lambda match: read(match[1]), text)

    for mode, site in (
        ("ask", "auth-request"),
        ("ask-cached", "auth-request-cached"),
        ("hand-over", "reverse-proxy"),
    ):
        expected = read("conf.d/gatekeeper.conf")
        if mode == "ask-cached":
            expected += read("conf.d/gatekeeper-cache.conf")
        expected += read(f"sites/{site}.conf")
        printed = render(settings(), mode)  # type: ignore[arg-type]
        printed = printed.replace("client_max_body_size 2000000000;", "client_max_body_size 2000m;")
        assert plain(printed) == plain(expected)


def test_nginx_does_what_was_printed(application: Recording, tmp_path: Path) -> None:
    port, trust = free_port(), certificate(tmp_path)
    more: dict[str, Any] = {
        "prefix": "/sign-in",
        "identity": {
            "user": "X-Remote-User",
            "email": "",
            "groups": "X-Roles",
            "assertion": {"header": "Proof-Of-Person"},
        },
        "upstream": f"http://127.0.0.1:{application.port}",
    }
    for mode in ("ask", "ask-cached", "hand-over"):
        folder = tmp_path / mode
        folder.mkdir()
        application.clear()
        with gatekeeper(folder, port, **more) as gate:
            given = {"public_url": f"https://{HOST}:{port}", "listen": f"127.0.0.1:{gate.port}", **more}
            site = render(make_settings(given, create=False), mode)
            site = site.replace(f"listen {port}", f"listen 127.0.0.1:{port}")
            site = site.replace("/etc/nginx/tls", str(tmp_path))
            site = site.replace("/run/nginx-gatekeeper", str(folder / "cache"))
            conf = write_main(folder)
            (folder / "etc/site.conf").write_text(site)
            with running(["/usr/sbin/nginx", "-c", str(conf), "-p", str(folder)], port, folder / "log"):
                found = Site(port, gate, trust, folder)
                assert found.ask("/a?b").get("location").endswith("/sign-in/login?next=/a%3Fb")
                assert found.ask("/sign-in/login").status == 200
                forged = [
                    *PAGE.items(),
                    ("Remote-User", "root"),
                    ("X-Remote-User", "root"),
                    ("X-Roles", "root"),
                ]
                forged += [("Remote-Email", "root"), ("Remote-Groups", "root"), ("Proof-Of-Person", "root")]
                forged.append(("X-Gatekeeper-Assertion", "root"))
                assert found.ask("/a", forged, cookie=found.person("ada", "ops")).status == 200
                (proof,) = head_of(application.arrived[0].head)["proof-of-person"]
                keys = json.loads(found.ask("/sign-in/jwks.json").body)["keys"]
                assert jwt.get_unverified_header(proof)["kid"] in [key["kid"] for key in keys]
        head = head_of(application.arrived[0].head)
        assert (head["x-remote-user"], head["x-roles"]) == (["ada"], ["ops"])
        assert b"root" not in application.arrived[0].head


def accepted(site: str, tmp_path: Path) -> None:
    """By nginx's own check."""
    certificate(tmp_path)
    site = site.replace("/etc/nginx/tls", str(tmp_path)).replace("listen ", "listen 127.0.0.1:")
    conf = write_main(tmp_path)
    (tmp_path / "etc/site.conf").write_text(site)
    command = ["/usr/sbin/nginx", "-t", "-c", str(conf), "-p", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_an_application_behind_tls_is_verified(tmp_path: Path) -> None:
    site = render(settings(upstream={"url": "https://127.0.0.1", "host": "rewrite"}), "ask")
    assert "server 127.0.0.1:443;" in site and "proxy_ssl_verify on;" in site
    assert "proxy_set_header Host              127.0.0.1;" in site
    site = re.sub(
        r"proxy_ssl_trusted_certificate .*;", f"proxy_ssl_trusted_certificate {tmp_path}/fullchain.pem;", site
    )
    accepted(
        site.replace("listen 443", f"listen {free_port()}").replace("listen 80;", f"listen {free_port()};"),
        tmp_path,
    )


def test_plain_http_and_unix_sockets(tmp_path: Path) -> None:
    site = render(
        settings(
            public_url=f"http://127.0.0.1:{free_port()}",
            listen="unix:/run/gatekeeper/g.sock",
            upstream="unix:/run/app.sock",
        ),
        "ask",
    )
    assert (
        "ssl" not in site and "server unix:/run/gatekeeper/g.sock;" in site and "unix:/run/app.sock;" in site
    )
    accepted(site, tmp_path)


def test_what_does_not_fit_is_said() -> None:
    nothing = settings(upstream="none", trusted_proxies="127.0.0.1")
    with pytest.raises(ValueError, match="--application"):
        render(nothing, "ask")
    with pytest.raises(ValueError, match="http"):
        render(nothing, "ask", "app:3000")
    with pytest.raises(ValueError, match="--mode ask"):
        render(nothing, "hand-over")
    assert "server 10.1.1.1:80;" in render(nothing, "ask", "http://10.1.1.1")
    assert complaints(settings()) != []
    assert complaints(settings(trusted_proxies=["127.0.0.0/8"])) == []
    assert complaints(settings(listen="unix:/run/g.sock", trusted_proxies="unix")) == []
    assert "unix" in complaints(settings(listen="unix:/run/g.sock", trusted_proxies="127.0.0.1"))[0]


def test_the_command(tmp_path: Path) -> None:
    config = tmp_path / "gatekeeper.yaml"
    config.write_text("public_url: https://office.example.com\nupstream: none\ntrusted_proxies: 192.0.2.1\n")
    found = CliRunner().invoke(
        main, ["nginx", "--config", str(config), "--application", "http://127.0.0.1:3000"]
    )
    assert found.exit_code == 0
    assert "auth_request /_gate/auth/nginx;" in found.stdout
    assert "trusted_proxies" in found.stderr
    failed = CliRunner().invoke(main, ["nginx", "--config", str(config)])
    assert failed.exit_code == 1 and "--application" in failed.stderr


WIKI = "wiki.example.com"


def several(port: int, folder: Path, *applications: int, lock: bool) -> dict[str, Any]:
    """Two on one host, one of them perhaps with a lock; a third on its own host, where `/` is nobody's."""
    (folder / "lock").write_text("Bearer the-secret-of-books\n")
    (folder / "lock").chmod(0o600)
    front, books, wiki = (f"http://127.0.0.1:{number}" for number in applications)
    return {
        "public_url": f"https://{HOST}:{port}",
        "upstream": [
            {"name": "front", "url": front},
            {
                "name": "the-books",
                "url": books,
                "at": "/books.d",
                "authorization": {"file": str(folder / "lock")} if lock else "pass",
                "rules": [{"allow": {"roles": "ops"}}],
            },
            {"name": "wiki", "url": wiki, "at": f"{WIKI}:{port}/w", "authorization": "drop"},
        ],
    }


def test_nginx_knows_hosts_and_paths_of_several_applications(tmp_path: Path) -> None:
    with recording() as front, recording() as books, recording() as wiki:
        for mode in ("ask", "ask-cached", "hand-over"):
            folder = tmp_path / mode
            folder.mkdir()
            port, trust = free_port(), certificate(folder)
            more = several(port, folder, front.port, books.port, wiki.port, lock=mode == "hand-over")
            with gatekeeper(folder, port, rules=[], upstream=more["upstream"]) as gate:
                given = {"listen": f"127.0.0.1:{gate.port}", **more}
                site = render(make_settings(given, create=False), mode)
                assert "the-secret" not in site
                site = site.replace(f"listen {port}", f"listen 127.0.0.1:{port}")
                site = site.replace("/etc/nginx/tls", str(folder))
                site = site.replace("/run/nginx-gatekeeper", str(folder / "cache"))
                conf = write_main(folder)
                (folder / "etc/site.conf").write_text(site)
                command = ["/usr/sbin/nginx", "-c", str(conf), "-p", str(folder)]
                subprocess.run([*command, "-t"], check=True, capture_output=True)
                with running(command, port, folder / "log"):
                    found = Site(port, gate, trust, folder)
                    ada, pat = found.person("ada", "ops"), found.person("pat")
                    there = f"{WIKI}:{port}"
                    mine = {**PAGE, "Authorization": "Basic bWluZTptaW5l"}
                    asked: list[tuple[str, str, str, int]] = [
                        (ada, "", "/x?y=1", 200),
                        (ada, "", "/books.d", 200),
                        (ada, "", "/books.d/1", 200),
                        (pat, "", "/books.d/1", 403),
                        (pat, "", "/b%6Foks.d/1", 403),
                        (pat, "", "/books.d2", 200),
                        (pat, "", "/booksxd/1", 200),
                        (ada, there, "/w/1", 200),
                        (ada, there, "/", 404),
                    ]
                    for cookie, host, path, status in asked:
                        assert found.ask(path, mine, cookie=cookie, host=host).status == status, (mode, path)
                    refused = found.ask("/books.d%2F1", mine, cookie=ada).status
                    assert refused == (400 if mode == "hand-over" else 403)
                    login = found.ask("/w/1?a=b", host=there).get("location")
                    assert login.endswith("/_gate/login?next=/w/1%3Fa%3Db")
            targets = [[one.target for one in each.arrived] for each in (front, books, wiki)]
            assert targets == [
                [b"/x?y=1", b"/books.d2", b"/booksxd/1"],
                [b"/books.d", b"/books.d/1"],
                [b"/w/1"],
            ], mode
            told = [
                {value for one in each.arrived for value in head_of(one.head).get("authorization", [])}
                for each in (front, books, wiki)
            ]
            own = "Basic bWluZTptaW5l"
            assert told == [{own}, {"Bearer the-secret-of-books" if mode == "hand-over" else own}, set()], (
                mode
            )
            for each in (front, books, wiki):
                each.clear()


def test_what_of_several_does_not_fit_is_said(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("a:b\n")
    (tmp_path / "lock").chmod(0o600)
    role = {"role": "ops", "file": str(tmp_path / "lock")}
    cases: list[tuple[dict[str, Any], str, str | None]] = [
        ({"url": "none"}, "b has no address", None),
        ({"authorization": {"roles": [role], "otherwise": "pass"}}, "where Gatekeeper carries", None),
        ({}, "--application", "http://127.0.0.1:3"),
    ]
    for changed, match, application in cases:
        pair = [
            {"name": "a", "url": "http://127.0.0.1:1"},
            {"name": "b", "at": "/b", "url": "http://127.0.0.1:2", **changed},
        ]
        with pytest.raises(ValueError, match=match):
            render(settings(upstream=pair, trusted_proxies="127.0.0.1"), "ask", application)
