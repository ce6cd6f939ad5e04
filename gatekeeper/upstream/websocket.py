"""WebSockets on their way to the application, as an ASGI application for `websocket` scopes."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Callable, Iterable, Sequence
from http.client import responses
from typing import Literal

from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.origins import origin_allowed, origin_of
from gatekeeper.core.protocols import Receive, Scope, Send, Tunnel
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.rewrite import Rewriter
from gatekeeper.upstream.websocket_asgi import NO_STATUS, Ending, MessageConnection
from gatekeeper.upstream.websocket_connect import Opened, open_websocket
from gatekeeper.upstream.websocket_frames import GOING_AWAY, POLICY_VIOLATION
from gatekeeper.upstream.websocket_handshake import (
    AnswerReader,
    Headers,
    Offer,
    Refused,
    accept_bytes,
    client_offer,
    new_offer,
    request_bytes,
)
from gatekeeper.upstream.websocket_tunnel import CLOSING_TIMEOUT, LINGER_TIMEOUT, Bridge

MESSAGE_MAX = 16 * 1024 * 1024
SESSION_ENDED = "session ended"
_TUNNEL = "gatekeeper.tunnel"
_RESPONSE = "websocket.http.response"


class WebSocketRelay:
    """Relays WebSockets to one application.

    On a server that offers its connection (`core.protocols.Tunnel`) frames pass as raw bytes; on any other
    ASGI server whole messages do. Both check the Origin first and contact the application only then.

    What it reads from the scope besides ASGI, all of it optional:

    - `gatekeeper.watch`: called with a callback that ends the connection with 1008; returns how to stop it.
    - `gatekeeper.activity`: called whenever data frames come from the client, never for pings.
    - `gatekeeper.answer_headers`: given status and headers of a 101 that does not pass through `send`,
      returns the headers to send.

    Raises `UpstreamFailure` (502, 504) and only before anything was sent to the client.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        allowed_origins: Iterable[str],
        public_origins: Sequence[str] = (),
        host_policy: Literal["keep", "rewrite"] = "keep",
        limits: UpstreamLimits | None = None,
        message_max: int = MESSAGE_MAX,
        ssl_context: ssl.SSLContext | None = None,
        closing_timeout: float = CLOSING_TIMEOUT,
        linger_timeout: float = LINGER_TIMEOUT,
    ) -> None:
        """`message_max` in bytes as sent, compressed or not; time limits in seconds.

        Raises ValueError when one of `allowed_origins` is not an origin.
        """
        self._origin = origin
        self._allowed = frozenset(origin_of(allowed) for allowed in allowed_origins)
        self._limits = limits or UpstreamLimits()
        self._message_max = message_max
        self._ssl = ssl_context or make_ssl_context() if origin.tls else None
        self._own_host = origin.authority.encode("ascii")
        self._own_origin = f"{origin.scheme}://{origin.authority}".encode("ascii")
        self._host = self._own_host if host_policy == "rewrite" else None
        self._rewriter = Rewriter(origin, public_origins)
        self._closing_timeout = closing_timeout
        self._linger_timeout = linger_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tunnel: Tunnel | None = scope.get("extensions", {}).get(_TUNNEL)
        if tunnel is None and (await receive())["type"] != "websocket.connect":
            return
        if not origin_allowed(scope["headers"], self._allowed):
            await _refuse(scope, send, tunnel, 403, *_json("foreign_origin"))
            return
        try:
            if tunnel is not None:
                offer = client_offer(scope["headers"])
            else:
                offer = new_offer(secrets.token_bytes(16), scope.get("subprotocols") or ())
            request = self._request(scope, offer)
        except RequestRejected as rejected:
            headers, body = _json(rejected.reason)
            if rejected.status == 426:
                headers += [(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")]
            await _refuse(scope, send, tunnel, rejected.status, headers, body)
            return
        reader = AnswerReader(offer, self._rewriter)
        opened = await open_websocket(
            self._origin, request, reader, limits=self._limits, ssl_context=self._ssl
        )
        if isinstance(opened, Refused):
            await _refuse(scope, send, tunnel, opened.status, opened.headers, opened.body)
        elif tunnel is not None:
            await self._join(scope, tunnel, opened, offer)
        else:
            await self._translate(scope, receive, send, opened)

    def _request(self, scope: Scope, offer: Offer) -> bytes:
        target: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if self._host is not None:
            # An application that compares Origin with Host must see the pair that belongs together; that
            # the client's own Origin was one of ours is settled.
            headers = [(name, self._own_origin if name == b"origin" else value) for name, value in headers]
        return request_bytes(
            b"%b?%b" % (target, query) if query else target,
            headers,
            offer,
            host=self._host,
            fallback_host=self._own_host,
        )

    async def _join(self, scope: Scope, tunnel: Tunnel, opened: Opened, offer: Offer) -> None:
        """The raw road, until both connections are gone."""
        bridge = Bridge(
            opened,
            compressed=bool(opened.agreed.extensions),
            message_max=self._message_max,
            on_activity=scope.get("gatekeeper.activity"),
            closing_timeout=self._closing_timeout,
            linger_timeout=self._linger_timeout,
        )
        stop_watching = _watch(scope, lambda: bridge.end(POLICY_VIOLATION, SESSION_ENDED))
        try:
            headers: Sequence[tuple[bytes, bytes]] = opened.agreed.headers
            if (clean := scope.get("gatekeeper.answer_headers")) is not None:
                headers = clean(101, headers)
            bridge.join(tunnel, accept_bytes(opened.agreed, offer, headers))
            await bridge.done
        finally:
            stop_watching()
            bridge.abort()

    async def _translate(self, scope: Scope, receive: Receive, send: Send, opened: Opened) -> None:
        """The plain road, until the application's side is over or the client has left."""
        application = MessageConnection(
            opened, message_max=self._message_max, closing_timeout=self._closing_timeout
        )
        protocol = opened.agreed.protocol
        loop = asyncio.get_running_loop()
        cut = asyncio.Event()

        def revoked() -> None:
            application.end(POLICY_VIOLATION, SESSION_ENDED)
            cut.set()

        stop_watching = _watch(scope, revoked)
        tasks: list[asyncio.Task[object]] = []
        try:
            await send(
                {
                    "type": "websocket.accept",
                    "subprotocol": protocol.decode("ascii") if protocol is not None else None,
                    "headers": opened.agreed.headers,
                }
            )
            down = loop.create_task(_to_client(application, send))
            up = loop.create_task(_to_application(application, receive, scope.get("gatekeeper.activity")))
            tasks = [down, up, loop.create_task(cut.wait())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            application.end(GOING_AWAY)  # unless it is over already, and then with what it ended
            await asyncio.wait([down], timeout=self._closing_timeout)
        finally:
            stop_watching()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            application.end(GOING_AWAY)
            await application.closed.wait()
        for result in results:
            if isinstance(result, Exception):
                raise result


async def _to_client(application: MessageConnection, send: Send) -> None:
    while True:
        message = await application.receive()
        try:
            if isinstance(message, Ending):
                if not application.client_gone:
                    await send({"type": "websocket.close", "code": message.code, "reason": message.reason})
                return
            key = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", key: message})
        except OSError:  # what ASGI servers raise when the client has left (ASGI WebSocket spec 2.4)
            application.client_left(NO_STATUS, "")
            return


async def _to_application(
    application: MessageConnection, receive: Receive, on_activity: Callable[[], None] | None
) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            application.client_left(message.get("code") or NO_STATUS, message.get("reason") or "")
            return
        if on_activity is not None:
            on_activity()
        text = message.get("text")
        await application.send(text if text is not None else message["bytes"])


def _watch(scope: Scope, end: Callable[[], None]) -> Callable[[], None]:
    watch: Callable[[Callable[[], None]], Callable[[], None]] | None = scope.get("gatekeeper.watch")
    return watch(end) if watch is not None else lambda: None


def _json(error: str) -> tuple[Headers, bytes]:
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
    ]
    return headers, body


async def _refuse(
    scope: Scope, send: Send, tunnel: Tunnel | None, status: int, headers: Headers, body: bytes
) -> None:
    """Answer the hand-shake with a response instead; a server that cannot says 403."""
    if _RESPONSE in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    elif tunnel is not None:
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, responses.get(status, "").encode("ascii"))]
        lines += (b"%b: %b\r\n" % pair for pair in headers)
        tunnel.refuse(b"".join(lines) + b"connection: close\r\n\r\n", body)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
