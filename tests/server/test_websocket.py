"""The hand-shake: taken raw as a tunnel, or answered with plain ASGI messages."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gatekeeper.core.protocols import Receive, Scope, Send, Tunnel
from gatekeeper.gate.server.config import ServerLimits
from tests.server.memory import Bench, MemoryTransport, settle, status_of
from tests.server.wire import served

UPGRADE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: chat, superchat\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Peer:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.transport: asyncio.Transport | None = None

    def client_data(self, data: bytes) -> None:
        self.calls.append(data)

    def client_eof(self) -> None:
        self.calls.append("eof")

    def client_lost(self, error: Exception | None) -> None:
        self.calls.append("lost")

    def pause_upstream(self) -> None:
        self.calls.append("pause")

    def resume_upstream(self) -> None:
        self.calls.append("resume")

    def shutdown(self) -> None:
        self.calls.append("shutdown")
        assert self.transport is not None
        self.transport.close()


def tunnel_of(scope: Scope) -> Tunnel:
    tunnel: Tunnel = scope["extensions"]["gatekeeper.tunnel"]
    return tunnel


class TakesTunnel:
    def __init__(self) -> None:
        self.peer = Peer()
        self.scope: Scope = {}
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await self.go.wait()
        self.peer.transport = tunnel_of(scope).accept(SWITCH, self.peer)


def test_the_scope_of_a_handshake() -> None:
    async def story() -> None:
        app = TakesTunnel()
        protocol, _ = Bench(app).connect()
        protocol.data_received(UPGRADE)
        await settle()
        assert app.scope["type"] == "websocket" and app.scope["scheme"] == "ws"
        assert app.scope["raw_path"] == b"/ws" and app.scope["query_string"] == b"x=1"
        assert app.scope["subprotocols"] == ["chat", "superchat"]
        assert "websocket.http.response" in app.scope["extensions"]

    asyncio.run(story())


def test_a_tunnel_gets_early_bytes_then_all_that_comes() -> None:
    async def story() -> None:
        app = TakesTunnel()
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(UPGRADE + b"early")
        await settle()
        assert transport.paused and not transport.written
        app.go.set()
        await settle()
        assert bytes(transport.written) == SWITCH and not transport.paused
        transport.protocol.data_received(b"more")
        transport.protocol.pause_writing()
        transport.protocol.resume_writing()
        assert transport.protocol.eof_received() is True
        await bench.pass_time(600)
        assert not transport.closing and bench.registry.load == 2
        transport.abort()
        await settle()
        assert app.peer.calls == [b"early", b"more", "pause", "resume", "eof", "lost"]
        assert not bench.registry.connections and not bench.registry.tunnels and not bench.state.connections

    asyncio.run(story())


def test_a_tunnel_whose_client_does_not_read_is_cut_off() -> None:
    async def story() -> None:
        app = TakesTunnel()
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(UPGRADE)
        app.go.set()
        await settle()
        transport.holds = True
        assert app.peer.transport is not None
        app.peer.transport.write(b"x" * 70_000)
        await bench.pass_time(32)
        assert transport.aborted and app.peer.calls == ["pause", "lost"]

    asyncio.run(story())


def test_a_stop_is_told_to_the_peer() -> None:
    async def story() -> None:
        app = TakesTunnel()
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(UPGRADE)
        app.go.set()
        await settle()
        for connection in list(bench.state.connections):
            connection.shutdown()
        await settle()
        assert app.peer.calls == ["shutdown", "lost"] and transport.lost

    asyncio.run(story())


def refused_by(app: Any) -> MemoryTransport:
    async def story() -> MemoryTransport:
        bench = Bench(app)
        protocol, transport = bench.connect()
        protocol.data_received(UPGRADE + b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
        await bench.pass_time(4)
        assert transport.lost
        return transport

    return asyncio.run(story())


def test_a_refused_handshake_ends_the_connection_and_later_bytes_are_no_request() -> None:
    async def by_tunnel(scope: Scope, receive: Receive, send: Send) -> None:
        tunnel_of(scope).refuse(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n", b"no")

    async def by_close(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    async def by_response(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    for app, status in ((by_tunnel, 401), (by_close, 403), (by_response, 401)):
        transport = refused_by(app)
        assert status_of(transport) == status
        assert transport.written.count(b"HTTP/1.1 ") == 1


def test_an_application_that_fails_at_a_handshake_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    assert status_of(refused_by(fails)) == 500
    assert status_of(refused_by(says_nothing)) == 500
    assert len(caplog.records) == 2


def test_a_client_that_leaves_during_the_handshake_is_reported() -> None:
    async def story() -> None:
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((await receive())["type"])
            seen.append((await receive())["type"])
            with pytest.raises(ClientDisconnected):
                tunnel_of(scope).accept(SWITCH, Peer())
            seen.append("raised")

        protocol, _ = Bench(app).connect()
        protocol.data_received(UPGRADE)
        await settle()
        protocol.eof_received()
        await settle()
        assert seen == ["websocket.connect", "websocket.disconnect", "raised"]

    asyncio.run(story())


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/refused":
        return await send({"type": "websocket.close"})
    assert (await receive())["type"] == "websocket.connect"
    protocols = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": protocols[0] if protocols else None})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    return None


def test_plain_asgi_messages_work_over_a_real_socket() -> None:
    with served(echo, ServerLimits(connections=10)) as server:
        url = "ws://{}:{}".format(*server.address)
        cookie = {"Cookie": "x=" + "y" * 20_000}
        with connect(url + "/a", subprotocols=["chat"], additional_headers=cookie) as client:  # type: ignore[list-item]
            assert client.subprotocol == "chat"
            client.send("hello")
            assert client.recv() == "hello"
            client.send(b"x" * 300_000)
            assert client.recv() == b"x" * 300_000
            assert client.ping().wait(5)
        with pytest.raises(InvalidStatus) as refusal:
            connect(url + "/refused")
        assert refusal.value.response.status_code == 403
        with connect(url + "/b") as client:
            server.call(lambda: [c.shutdown() for c in list(server.server.server_state.connections)])
            assert client.recv_bufsize and client.close_code != 1000


def test_frames_sent_with_the_handshake_are_not_lost() -> None:
    frame = b"\x81\x85\x00\x00\x00\x00hello"
    with served(echo) as server, server.connect() as client:
        client.sendall(UPGRADE + frame)
        data = b""
        while not data.endswith(b"hello"):
            data += client.recv(4096)
        assert data.startswith(b"HTTP/1.1 101 ") and data.endswith(b"\r\n\r\n\x81\x05hello")


def test_a_tunnel_works_over_a_real_socket() -> None:
    class Echo(Peer):
        def client_data(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

        def client_eof(self) -> None:
            assert self.transport is not None
            self.transport.close()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        peer = Echo()
        peer.transport = tunnel_of(scope).accept(SWITCH, peer)

    with served(app) as server, server.connect() as client:
        client.sendall(UPGRADE)
        assert client.recv(4096) == SWITCH
        client.sendall(b"\x00raw")
        assert client.recv(4096) == b"\x00raw"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
