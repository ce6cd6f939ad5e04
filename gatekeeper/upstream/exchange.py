"""One request and its answer between ASGI and a connection: an adapter around the connection's callbacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatekeeper.core.errors import RequestRejected, UpstreamFailure
from gatekeeper.core.protocols import Message, Receive, Scope, Send
from gatekeeper.upstream.framing import CHUNKED, NO_BODY, UNDECLARED, RequestHead, ResponseHead

if TYPE_CHECKING:
    from gatekeeper.upstream.app import UpstreamApp
    from gatekeeper.upstream.connection import UpstreamConnection

HIGH_WATER = 65_536
"""Bytes of an answer held for a slow client before the application is made to wait."""
_INLINE = 65_536
"""A declared body up to this long is mostly there already: its first piece goes with the head. So much of any
body is waited for before it gets one of the last connections."""
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


class AsgiExchange:
    """Hears the connection's callbacks (`connection.ExchangeSink`), speaks ASGI with the server."""

    __slots__ = (
        "_app",
        "_buffered",
        "_chunks",
        "_complete",
        "_connection",
        "_error",
        "_go_ahead",
        "_gone",
        "_head",
        "_left",
        "_method",
        "_pump",
        "_receive",
        "_request_paused",
        "_request_waiter",
        "_scope",
        "_send",
        "_started",
        "_waiter",
        "seen",
        "watchable",
    )

    def __init__(self, app: UpstreamApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._method: str = scope["method"]
        self._connection: UpstreamConnection | None = None
        self._head: ResponseHead | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._complete = self._gone = self._started = False
        self._request_paused = self._go_ahead = False
        self._error: Exception | None = None
        self._left = NO_BODY
        self._pump: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._request_waiter: asyncio.Future[None] | None = None
        self.seen = False
        """Whether a sweep has met this exchange already."""
        self.watchable = False
        """Whether the request was read whole, so that reading on can only tell of the client going away."""

    async def run(self) -> None:
        """Carry the request out. Raises `UpstreamFailure` or `RequestRejected`.

        When it raises before the server was given the response's start, the client can still be told;
        afterwards the client's connection must break.
        """
        request = self._app.request_head(self._scope)
        first: Message | None = None
        length = request.length
        if length not in (NO_BODY, UNDECLARED) and self._app.pool.scarce:
            first = await self._beginning(_INLINE if length == CHUNKED else min(length, _INLINE))
        elif length == UNDECLARED or (0 < length <= _INLINE and not request.expects):
            first = await self._receive()
        if first is not None and first["type"] == "http.disconnect":
            return
        try:
            await self._ask(request, first)
            if not self._gone:
                try:
                    await self._answer()
                except OSError as error:  # ASGI 2.4: the client is gone
                    if error is self._error:
                        raise
        finally:
            if self._connection is not None and not self._complete:
                self._connection.abort()
            if self._pump is not None and not self._pump.done():
                self._pump.cancel()

    def watch_client(self) -> None:
        """Begin to listen for the client going away, unless the request's body is being read anyway."""
        if self.watchable and self._pump is None:
            self._pump = self._app.tasks.start(self._listen())

    # The request

    async def _beginning(self, size: int) -> Message:
        """The first `size` bytes of the body or all of it, as one message; or the client's disconnect.

        Whoever sends a body byte by byte does so without a connection to the application, of which others
        would then have none.
        """
        pieces: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return message
            pieces.append(message.get("body", b""))
            size -= len(pieces[-1])
            more = message.get("more_body", False)
            if size <= 0 or not more:
                return {"type": "http.request", "body": b"".join(pieces), "more_body": more}

    async def _ask(self, request: RequestHead, first: Message | None) -> None:
        """Send the request and wait for the answer's head."""
        data, body, done = self._opening(request, first)
        self.watchable = done
        # RFC 9110 section 9.2.2; a body is streamed and could not be sent again.
        repeatable = not body and self._method in _IDEMPOTENT
        pool = self._app.pool
        client = _client(self._scope)
        connection = pool.take(client, repeatable=repeatable) or await pool.acquire(client)
        while True:
            if self._gone:
                pool.released(connection)
                return
            self._connection = connection
            connection.begin(self, self._method, data, done=done)
            if not done:
                self._pump = self._app.tasks.start(self._send_body(expects=request.expects))
            while self._head is None and self._error is None and not self._gone:
                await self._wait()
            if self._error is None:
                return
            dead = isinstance(self._error, UpstreamFailure) and self._error.reason == "upstream_closed"
            if not (repeatable and dead and connection.reused and not connection.answered):
                raise self._error
            self._error = self._connection = None
            repeatable = False
            connection = await pool.acquire(client, fresh=True)

    def _opening(self, request: RequestHead, first: Message | None) -> tuple[bytes, bool, bool]:
        """The request's first bytes, whether it has a body, and whether they are all of it."""
        body: bytes = b"" if first is None else first.get("body", b"")
        more: bool = first is None or first.get("more_body", False)
        length = request.length
        if length == UNDECLARED:
            length = CHUNKED if more else len(body)
            framing = (
                b"transfer-encoding: chunked\r\n\r\n" if more else b"content-length: %d\r\n\r\n" % length
            )
            if length == NO_BODY and self._method in ("GET", "HEAD", "OPTIONS", "TRACE", "DELETE"):
                framing = b"\r\n"
        else:
            framing = b"transfer-encoding: chunked\r\n\r\n" if length == CHUNKED else b"\r\n"
        if length == NO_BODY:
            return request.data + framing, False, True
        self._left = length
        data = b"".join([request.data, framing, *self._framed(body, more=more)])
        return data, True, not more or self._left == 0

    def _framed(self, body: bytes, *, more: bool) -> list[bytes]:
        """A piece of the body as it goes over the wire; counts it against the declared length."""
        if self._left == CHUNKED:
            parts = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            if not more:
                parts.append(b"0\r\n\r\n")
            return parts
        self._left -= len(body)
        if self._left < 0 or (self._left > 0 and not more):
            raise RequestRejected(400, "body_length", "the body is not as long as declared")
        return [body] if body else []

    async def _send_body(self, *, expects: bool) -> None:
        """Stream the body, then go on listening for the client going away."""
        connection = self._connection
        assert connection is not None
        try:
            more = not expects or await self._wait_for_continue()
            if not more:
                await self._listen()
                return
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self._client_gone()
                    return
                more = message.get("more_body", False)
                parts = self._framed(message.get("body", b""), more=more)
                # A declared length that is reached ends the body, whether or not the server says so now.
                more = more and self._left != 0
                if parts:
                    connection.send(parts)
                while self._request_paused and more:
                    self._request_waiter = asyncio.get_running_loop().create_future()
                    await self._request_waiter
            connection.end_request()
        except Exception as error:  # the server's receive may raise: told to whoever awaits the answer
            self._error = error
            self._wake()
            return
        await self._listen()

    async def _wait_for_continue(self) -> bool:
        """Wait until the application asks for the body, or evidently does not know how to.

        False when it answered without asking: then the body stays where it is. Reading it before the server
        was given the answer's head would tell the client to send it. RFC 9110 section 10.1.1.
        """
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._app.limits.continue_timeout, self._continue_unanswered)
        try:
            while not self._go_ahead and not self._started:
                self._request_waiter = loop.create_future()
                await self._request_waiter
        finally:
            timer.cancel()
        return self._go_ahead

    def _continue_unanswered(self) -> None:
        if self._head is None:
            self.on_continue()

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._client_gone()
                return

    def _client_gone(self) -> None:
        self._gone = True
        if self._connection is not None and not self._complete:
            self._connection.abort()
        self._wake()

    # The answer

    async def _answer(self) -> None:
        head, connection, chunks = self._head, self._connection, self._chunks
        assert head is not None and connection is not None
        if self._error is not None:
            raise self._error
        send = self._send
        await send({"type": "http.response.start", "status": head.status, "headers": head.headers})
        self._started = True
        if self._pump is not None:
            self._wake_request()
        while True:
            if self._error is not None and not self._complete:
                raise self._error
            if self._gone:
                return
            done = self._complete
            if chunks or done:
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                chunks.clear()
                self._buffered = 0
                await send({"type": "http.response.body", "body": body, "more_body": not done})
                if done:
                    return
            if not chunks and not self._complete:
                connection.resume_reading()
                await self._wait()

    async def _wait(self) -> None:
        self._waiter = self._app.loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ExchangeSink

    def on_continue(self) -> None:
        self._go_ahead = True
        self._wake_request()

    def on_head(self, head: ResponseHead) -> None:
        self._head = head
        self._wake()

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER and self._connection is not None:
            self._connection.pause_reading()
        self._wake()

    def on_complete(self) -> None:
        self._complete = True
        self._wake()

    def on_failure(self, error: UpstreamFailure) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def pause_request(self) -> None:
        self._request_paused = True

    def resume_request(self) -> None:
        self._request_paused = False
        self._wake_request()

    def _wake_request(self) -> None:
        waiter = self._request_waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _client(scope: Scope) -> str:
    """Whom the gate takes the client for; without a gate in front, the connection's address."""
    context = scope.get("gatekeeper")
    if context is not None and context.facts is not None:
        client: str = context.facts.client
        return client
    return scope["client"][0] if scope.get("client") else ""
