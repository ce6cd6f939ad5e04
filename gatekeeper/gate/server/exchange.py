"""One request and its answer, as ASGI messages."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected

from gatekeeper.core.protocols import ASGIApp, Message
from gatekeeper.gate.server.response import CONTINUE, InvalidResponse, build_head

if TYPE_CHECKING:
    from gatekeeper.gate.server.head import Head
    from gatekeeper.gate.server.protocol import StrictProtocol

logger = logging.getLogger("gatekeeper.server")


class Exchange:
    """The receive and send of one request. The connection owns framing in; this owns framing out."""

    __slots__ = (
        "_bodiless",
        "_body",
        "_chunked",
        "_event",
        "_expect",
        "_left",
        "_method",
        "_minor",
        "_told_end",
        "complete",
        "connection",
        "disconnected",
        "keep_alive",
        "more_body",
        "scope",
        "started",
        "task",
    )

    _bodiless: bool
    _chunked: bool
    _left: int | None
    """Body bytes still promised by Content-Length."""

    def __init__(self, connection: StrictProtocol, scope: dict[str, Any], head: Head) -> None:
        self.connection = connection
        self.scope = scope
        self._method = head.method
        self._minor = head.minor
        self._expect = head.expect
        # HTTP/1.0 connections are closed after one answer, whatever they ask for.
        self.keep_alive = head.minor == 1 and (not head.connection or b"close" not in head.connection)
        self.more_body = head.chunked or bool(head.length)
        self._body: bytes | bytearray = b""
        self._event: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None
        """What runs it, until it is done."""
        self._told_end = self.started = self.complete = self.disconnected = False

    # What the connection says

    def body_arrived(self, data: bytes, *, last: bool) -> int:
        """Keep payload for the application; how many bytes wait for it."""
        if self._body:
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += data
        else:
            self._body = data
        if last:
            self.more_body = False
        self._wake()
        return len(self._body)

    def disconnect(self) -> None:
        """The client is gone, or its request turned out to be broken."""
        self.disconnected = True
        self._wake()

    @property
    def awaits_continue(self) -> bool:
        """The client may be waiting for 100, so its body may never come."""
        return self._expect

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()

    # ASGI

    async def run(self, app: ASGIApp) -> None:
        """Run the application. Whatever it leaves undone can never look like a complete answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:
            if self.disconnected:
                logger.info("application stopped after its client had left: %s", type(error).__name__)
            else:
                logger.exception("exception in ASGI application")
        else:
            if not self.complete and not self.disconnected:
                logger.error("ASGI application returned without completing its response")
        finally:
            if not self.complete:
                self._abandon()
            # Here instead of in a callback of the task, which would cost the event loop another step.
            task, self.task = self.task, None
            if task is not None:
                self.connection.server_state.tasks.discard(task)

    def _abandon(self) -> None:
        if self.disconnected:
            return
        if self.started:
            self.connection.abort()
        else:
            self.connection.refuse(500, "internal_error", report=False)

    async def receive(self) -> Message:
        connection = self.connection
        if self._expect and not self.disconnected and not self.started:
            self._expect = False
            connection.write(CONTINUE)
            connection.body_wanted()
        while True:
            if self.disconnected or self.complete:
                return {"type": "http.disconnect"}
            if self._body or (not self.more_body and not self._told_end):
                body = self._body
                self._body = b""
                self._told_end = not self.more_body
                if self.more_body:
                    connection.resume_reading()
                return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}
            if self._event is None:
                self._event = asyncio.Event()
            else:
                self._event.clear()
            await self._event.wait()

    async def send(self, message: Message) -> None:
        """Raises `ClientDisconnected` (an OSError, as ASGI 2.4 asks) once there is nobody to send to."""
        connection = self.connection
        if connection.write_paused and not self.disconnected:
            await connection.drain()
        if self.disconnected:
            raise ClientDisconnected
        kind = message["type"]
        if self.started:
            if self.complete or kind != "http.response.body":
                raise InvalidResponse(f"unexpected {kind}")
            self._write_body(message.get("body", b""), bool(message.get("more_body", False)))
        else:
            if kind != "http.response.start":
                raise InvalidResponse(f"expected http.response.start, got {kind}")
            self._start(message)

    def _start(self, message: Message) -> None:
        connection = self.connection
        data, self._left, self._chunked, close, self._bodiless = build_head(
            message["status"],
            message.get("headers", ()),
            method=self._method,
            minor=self._minor,
            # Nobody can tell whether a body follows that was never asked for.
            close=not self.keep_alive or self._expect,
            defaults=connection.server_state.default_headers,
        )
        self.started = True
        if close:
            self.keep_alive = False
        if self._left == 0:
            connection.write(data)
        else:
            connection.write_soon(data)

    def _write_body(self, body: bytes, more: bool) -> None:
        if self._left is not None:
            if not self._bodiless:
                self._left -= len(body)
                if self._left < 0:
                    raise InvalidResponse("response longer than its Content-Length")
                if body:
                    self.connection.write(body)
                if not more and self._left:
                    raise InvalidResponse("response shorter than its Content-Length")
        elif self._chunked:
            if body:
                tail = b"\r\n" if more else b"\r\n0\r\n\r\n"
                self.connection.write(b"%x\r\n%b%b" % (len(body), body, tail))
            elif not more:
                self.connection.write(b"0\r\n\r\n")
        elif body or not more:
            self.connection.write(body)
        if not more:
            self.complete = True
            if self._event is not None:
                self._event.set()
            self.connection.response_complete(self)
