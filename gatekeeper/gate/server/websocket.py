"""A WebSocket hand-shake: offered raw as a `Tunnel`, or as plain ASGI messages."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gatekeeper.core.protocols import ASGIApp, Message, Receive, Send, TunnelPeer
from gatekeeper.gate.server.response import InvalidResponse, ResponseHead, build_head

if TYPE_CHECKING:
    from gatekeeper.gate.server.head import Head
    from gatekeeper.gate.server.protocol import StrictProtocol

_HANDSHAKE_FIELDS = frozenset(
    {
        b"host",
        b"upgrade",
        b"connection",
        b"origin",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    }
)

logger = logging.getLogger("gatekeeper.server")


class Handshake:
    """The ASGI side of a hand-shake; itself the `Tunnel` at scope["extensions"]["gatekeeper.tunnel"].

    Until the application accepts, this answers its messages. An application that sends `websocket.accept`
    is handed over to uvicorn's own WebSocket protocol; one that takes the tunnel gets the transport.
    """

    def __init__(self, connection: StrictProtocol, scope: dict[str, Any], head: Head) -> None:
        self.connection = connection
        self.scope = scope
        self.keep_alive = False
        self.started = False
        self.complete = False
        """Answered: by an acceptance or a whole refusal."""
        self.disconnected = False
        self._told_connect = False
        self._gone = asyncio.Event()
        self._response: ResponseHead | None = None
        self._left = 0
        self._adopted: _Adopted | None = None
        self._offers = [value for name, value in head.headers if name == b"sec-websocket-protocol"]
        scope["subprotocols"] = [
            offer.strip() for value in self._offers for offer in value.decode("latin-1").split(",")
        ]
        scope["extensions"] = {"gatekeeper.tunnel": self, "websocket.http.response": {}}

    def disconnect(self) -> None:
        self.disconnected = True
        self._gone.set()

    async def run(self, app: ASGIApp) -> None:
        failure: BaseException | None = None
        try:
            await app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass  # the way ASGI tells an application to stop, come back to where it started
        except Exception as error:
            failure = error
            if not self.disconnected or self._adopted is not None:
                logger.exception("exception in ASGI application")
        except BaseException:
            self.connection.abort()
            raise
        if self._adopted is not None:
            self._adopted.finished.set()
        elif self.complete:
            if failure is not None:
                self.connection.abort()
        elif not self.disconnected:
            if failure is None:
                logger.error("ASGI application returned without answering the hand-shake")
            if self.started:
                self.connection.abort()
            else:
                self.connection.refuse(500, "internal_error", report=False)

    # Tunnel

    def accept(self, head: bytes, peer: TunnelPeer) -> asyncio.Transport:
        """See `core.protocols.Tunnel`. Raises `ClientDisconnected` when the client has left already."""
        self._answer()
        connection = self.connection
        transport = connection.transport
        tunnel = TunnelConnection(connection, peer)
        _keep_alive(connection)
        early = connection.take_buffered()
        transport.write(head)
        transport.set_protocol(tunnel)
        connection.resume_reading()
        if early:
            peer.client_data(early)
        return transport

    def refuse(self, head: bytes, body: bytes) -> None:
        """See `core.protocols.Tunnel`."""
        self._answer()
        self.connection.write(head + body)
        self.connection.linger()

    def _answer(self) -> None:
        if self.disconnected or self.connection.transport.is_closing():
            raise ClientDisconnected
        if self.started or self.complete:
            raise InvalidResponse("the hand-shake is answered already")
        self.started = self.complete = True

    # Plain ASGI

    async def receive(self) -> Message:
        if not self._told_connect:
            self._told_connect = True
            return {"type": "websocket.connect"}
        if self._adopted is not None:
            return cast(Message, await self._adopted.receive())
        await self._gone.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(self, message: Message) -> None:
        if self._adopted is not None:
            return await self._adopted.send(cast(Any, message))
        if self.disconnected:
            raise ClientDisconnected
        kind = message["type"]
        if kind == "websocket.accept" and not self.started:
            self._answer()
            self._adopted = await _adopt(self.connection, self.scope)
            return await self._adopted.send(cast(Any, message))
        if kind == "websocket.close" and not self.started:
            self._start({"status": 403, "headers": [(b"content-length", b"0")]})
            return self._write_body(b"", more=False)
        if kind == "websocket.http.response.start" and not self.started:
            return self._start(message)
        if kind == "websocket.http.response.body" and self.started and not self.complete:
            return self._write_body(message.get("body", b""), more=bool(message.get("more_body", False)))
        raise InvalidResponse(f"unexpected {kind}")

    def _start(self, message: Message) -> None:
        self._response = build_head(
            message["status"],
            message.get("headers", ()),
            method="GET",
            minor=0,
            close=True,
            defaults=self.connection.server_state.default_headers,
        )
        self._left = self._response.length or 0
        self.started = True
        self.connection.write(self._response.data)

    def _write_body(self, body: bytes, *, more: bool) -> None:
        response = self._response
        assert response is not None  # set when the response started
        if response.bodiless:
            body = b""
        elif response.length is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise InvalidResponse("response does not match its Content-Length")
        self.connection.write(body)
        if not more:
            self.complete = True
            self._gone.set()
            self.connection.linger()


class TunnelConnection(asyncio.Protocol):
    """The transport's protocol once a tunnel was taken: every callback goes to the peer."""

    def __init__(self, connection: StrictProtocol, peer: TunnelPeer) -> None:
        self._connection = connection
        self._peer = peer
        self._half_open = connection.scheme == "http"
        # Bound here, so that the transport calls the peer itself.
        self.data_received = peer.client_data  # type: ignore[method-assign]
        self.shutdown = peer.shutdown
        connections = cast(set[Any], connection.server_state.connections)
        connections.discard(connection)
        connections.add(self)
        connection.registry.tunnels += 1

    def pause_writing(self) -> None:
        self._connection.pause_writing()
        self._peer.pause_upstream()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
        self._peer.resume_upstream()

    def eof_received(self) -> bool:
        self._peer.client_eof()
        return self._half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.server_state.connections.discard(cast(Any, self))
        self._connection.registry.tunnels -= 1
        self._connection.connection_lost(exc)
        self._peer.client_lost(exc)


def _keep_alive(connection: StrictProtocol) -> None:
    """Let the kernel find out when a client vanished: raw frames are not ours to ping with."""
    sock = connection.transport.get_extra_info("socket")
    if connection.client is not None and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


class _Adopted(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol around an application that is running already.

    The protocol would start the application itself; it starts `_lend` instead, which lends its receive and
    send to the one that runs, and lasts as long as that one.
    """

    def __init__(self, connection: StrictProtocol) -> None:
        super().__init__(
            config=connection.config,
            server_state=connection.server_state,
            app_state=connection.app_state,
            _loop=connection.loop,
        )
        self.app = cast(Any, self._lend)
        self.finished = asyncio.Event()
        self._lent: asyncio.Future[None] = connection.loop.create_future()
        self._origin = connection

    async def _lend(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect, which the application has been told
        self._lent.set_result(None)
        await self.finished.wait()

    async def ready(self) -> None:
        await self._lent

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._origin.registry.leave(self._origin, self._origin.address)


async def _adopt(connection: StrictProtocol, scope: dict[str, Any]) -> _Adopted:
    """Replay the hand-shake to uvicorn's WebSocket protocol and give it the transport."""
    # The application has the real scope: only what the hand-shake needs is said again, because the
    # library's own caps on lines are lower than ours.
    lines = [b"GET / HTTP/1.1\r\n"]
    lines.extend(b"%b: %b\r\n" % field for field in scope["headers"] if field[0] in _HANDSHAKE_FIELDS)
    protocol = _Adopted(connection)
    connection.server_state.connections.discard(cast(Any, connection))
    transport = connection.transport
    protocol.connection_made(transport)
    protocol.data_received(b"".join(lines) + b"\r\n")
    transport.set_protocol(protocol)
    if protocol.handshake_complete:
        raise InvalidResponse("the hand-shake was refused by the WebSocket protocol")
    await protocol.ready()
    early = connection.take_buffered()
    connection.resume_reading()
    if early:
        protocol.data_received(early)
    return protocol
