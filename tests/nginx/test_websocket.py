"""WebSockets through each proxy: a session and an origin of ours, or no hand-shake."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Origin

from tests.nginx.others import caddy, haproxy
from tests.nginx.support import HOST, Site, nginx_site


def say_who_and_echo(connection: ServerConnection) -> None:
    assert connection.request is not None
    headers = connection.request.headers
    connection.send(f"{headers.get('remote-user', 'nobody')} {headers.get('cookie', '')}")
    for message in connection:
        connection.send(message)


@pytest.fixture(scope="module")
def application() -> Iterator[int]:
    with serve(say_who_and_echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(
    scope="module", params=["reverse-proxy", "auth-request", "auth-request-cached", "caddy", "haproxy"]
)
def site(
    request: pytest.FixtureRequest, application: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param in ("caddy", "haproxy"):
        opened = (caddy if request.param == "caddy" else haproxy)(folder, application)
    else:
        opened = nginx_site(folder, request.param, application)
    with opened as found:
        yield found


def talk(site: Site, cookie: str, origin: str) -> tuple[str, str]:
    headers = {"Cookie": cookie} if cookie else {}
    with connect(
        f"wss://{HOST}:{site.port}/live",
        sock=site.connect_plain(),
        ssl=site.trust,
        server_hostname=HOST,
        additional_headers=headers,
        origin=Origin(origin),
        compression=None,
    ) as socket:
        who = socket.recv(10)
        socket.send("hello")
        return str(who), str(socket.recv(10))


def test_a_signed_in_person_talks_to_the_application(site: Site) -> None:
    cookie = site.person("ada")
    assert talk(site, f"{cookie}; theme=dark", site.origin) == ("ada theme=dark", "hello")


def test_without_a_session_or_from_elsewhere_nobody_does(site: Site) -> None:
    for cookie, origin, status in (
        ("", site.origin, 401),
        (site.person("ada"), "https://evil.example", 403),
        (site.person("ada"), "null", 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            talk(site, cookie, origin)
        assert refused.value.response.status_code == status


def test_an_answer_for_one_origin_is_none_for_another(site: Site) -> None:
    """Also where answers are kept for a moment."""
    cookie = site.person("ada")
    for _ in range(2):
        assert talk(site, cookie, site.origin)[0] == "ada "
        with pytest.raises(InvalidStatus):
            talk(site, cookie, "https://evil.example")
