"""Behind TLS: refusals can be read, and a hand-shake that is never finished is let go."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from gatekeeper.gate.server.config import ServerLimits
from tests.server.wire import Recorder, Served, read_answers, served


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path) -> Iterator[Served]:
    certificate = authority.issue_cert("localhost")
    chain = tmp_path / "chain.pem"
    key = tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    limits = ServerLimits(head_seconds=0.5, linger_seconds=0.2)
    with served(Recorder(), limits, ssl_certfile=chain, ssl_keyfile=key) as running:
        yield running


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_requests_and_refusals_over_tls(server: Served, context: ssl.SSLContext) -> None:
    for request, status in ((b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 200), (b"GET /a HTTP/1.1\r\n\r\n", 400)):
        with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
            client.sendall(request)
            answers, _ = read_answers(client, 1)
            assert [answer.status for answer in answers] == [status]


def test_a_refused_client_is_let_go(server: Served, context: ssl.SSLContext) -> None:
    with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
        client.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        answers, _ = read_answers(client, None)
        assert [answer.status for answer in answers] == [400]


def test_a_handshake_that_stops_is_let_go(server: Served) -> None:
    with server.connect() as client:
        client.sendall(b"\x16\x03\x01")
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass


def test_plain_http_at_a_tls_port_is_let_go(server: Served) -> None:
    with server.connect() as client, socket.socket():
        client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200" not in client.recv(4096)
