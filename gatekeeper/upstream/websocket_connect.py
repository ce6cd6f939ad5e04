"""Opening a WebSocket to the application: connection, request, verified answer, within time limits."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple, cast

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.connect import open_connection
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.websocket_handshake import Agreed, AnswerReader, Refused


class Opened(NamedTuple):
    """An agreed WebSocket whose reading is paused: `take_over` before resuming."""

    agreed: Agreed
    connection: HandshakeConnection


class HandshakeConnection(asyncio.Protocol):
    """The application's connection until the hand-shake is over."""

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader
        self._late = b""
        self._transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Agreed | Refused] = asyncio.get_running_loop().create_future()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "not connected yet"
        return self._transport

    def take_over(self, protocol: asyncio.Protocol) -> bytes:
        """Give the connection to `protocol`; the bytes that came after the hand-shake.

        Reading stays paused. When the connection was lost meanwhile, `protocol` is not told: ask
        `transport.is_closing()`.
        """
        self.transport.set_protocol(protocol)
        return self._late

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():  # a TLS transport hands out what it had decrypted when it was paused
            self._late += data
            return
        try:
            answer = self._reader.feed(data)
        except UpstreamFailure as failure:
            self.answer.set_exception(failure)
            return
        if answer is not None:
            self.transport.pause_reading()
            if isinstance(answer, Agreed):
                self._late = answer.early
            self.answer.set_result(answer)

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(UpstreamFailure(502, "upstream_closed", f"hand-shake: {error}"))
            return
        try:
            self.answer.set_result(self._reader.end())
        except UpstreamFailure as failure:
            self.answer.set_exception(failure)


async def open_websocket(
    origin: Origin,
    request: bytes,
    reader: AnswerReader,
    *,
    limits: UpstreamLimits,
    ssl_context: ssl.SSLContext | None = None,
) -> Opened | Refused:
    """Send `request` over a connection of its own and wait for the answer.

    Raises `UpstreamFailure` (502, 504). Whatever happens but `Opened`, the connection is closed.
    """
    connection = await open_connection(
        lambda: HandshakeConnection(reader), origin, timeout=limits.connect_timeout, ssl_context=ssl_context
    )
    opened = False
    try:
        connection.transport.write(request)
        async with asyncio.timeout(limits.response_timeout):
            answer = await connection.answer
        if isinstance(answer, Refused):
            return answer
        opened = True
        return Opened(answer, connection)
    except TimeoutError as error:
        detail = f"{origin}: no answer to a WebSocket hand-shake in {limits.response_timeout:g} s"
        raise UpstreamFailure(504, "upstream_timeout", detail) from error
    finally:
        if not opened:
            connection.transport.abort()
