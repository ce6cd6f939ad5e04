"""The plain road: ASGI messages on the client's side, frames on the application's.

For servers that do not hand out their connection. What ASGI cannot carry is lost here: fragmentation, pings
(each side answers its own), and a Close without a code, which reaches the client as 1000.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, Protocol, Side, State

from gatekeeper.upstream.websocket_connect import Opened
from gatekeeper.upstream.websocket_frames import INTERNAL_ERROR, MESSAGE_TOO_BIG, NORMAL_CLOSURE
from gatekeeper.upstream.websocket_tunnel import CLOSING_TIMEOUT

NO_STATUS = 1005
ABNORMAL = 1006
_INVALID_DATA = 1007


class Ending(NamedTuple):
    """With what the connection ends towards the client."""

    code: int
    reason: str


class MessageConnection(asyncio.Protocol):
    """The application's connection as whole messages. RFC 6455 through the sans-I/O part of `websockets`."""

    def __init__(self, opened: Opened, *, message_max: int, closing_timeout: float = CLOSING_TIMEOUT) -> None:
        """`message_max` in bytes, either way; `closing_timeout` in seconds, for the application to close."""
        self.message_max = message_max
        self._closing_timeout = closing_timeout
        self._loop = asyncio.get_running_loop()
        self._ws = Protocol(Side.CLIENT, state=State.OPEN, max_size=message_max)
        self._messages: deque[str | bytes] = deque()
        self._pieces: list[bytes] = []
        self._text = False
        self._ending: Ending | None = None
        self._cut = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None
        self.client_gone = False
        self.closed = asyncio.Event()
        """The application's connection is gone: at most `closing_timeout` after either side closed."""
        self._transport = opened.connection.transport
        late = opened.connection.take_over(self)
        if late:
            self.data_received(late)
        if self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._flow()

    async def receive(self) -> str | bytes | Ending:
        """The application's next message, or with what it is over."""
        while True:
            if self._messages and not self._cut:
                message = self._messages.popleft()
                self._flow()
                return message
            if self._ending is not None:
                return self._ending
            self._changed.clear()
            await self._changed.wait()

    async def send(self, message: str | bytes) -> None:
        """Send a message and wait until the connection takes more; nothing happens once it is over."""
        if self._ws.state is not State.OPEN or self._ending is not None:
            return
        data = message.encode() if isinstance(message, str) else message
        if len(data) > self.message_max:
            self.end(MESSAGE_TOO_BIG)
            return
        if isinstance(message, str):
            self._ws.send_text(data)
        else:
            self._ws.send_binary(data)
        self._flush()
        await self._writable.wait()

    def end(self, code: int, reason: str = "") -> None:
        """Close towards both: the application gets `code`, and so does whoever receives here, at once."""
        self._finish(code, reason)
        self._cut = True
        self._close(code, reason)

    def client_left(self, code: int, reason: str) -> None:
        """The client closed with `code`; 1006 means that its connection broke, so ours does."""
        self.client_gone = True
        self._finish(code, reason)
        if code == ABNORMAL:
            self._transport.abort()
        else:
            self._close(None if code == NO_STATUS else code, reason)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for frame in self._ws.events_received():
            if isinstance(frame, Frame):
                self._frame(frame)
        if self._ws.state is State.CLOSING:
            self._closing()
        self._flush()
        self._flow()

    def eof_received(self) -> None:
        self._ws.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._closing()
        self._finish(INTERNAL_ERROR, "")
        self._writable.set()
        self.closed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # within

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        if self._ending is not None:
            return
        if self._text:
            try:
                self._messages.append(data.decode())
            except UnicodeDecodeError:
                self._finish(_INVALID_DATA, "")
                self._close(_INVALID_DATA, "")
                return
        else:
            self._messages.append(data)
        self._changed.set()

    def _closing(self) -> None:
        """The application closed, or broke the protocol: the client is told the same code."""
        close = self._ws.close_rcvd or self._ws.close_sent
        if close is not None:
            self._finish(NORMAL_CLOSURE if close.code == NO_STATUS else close.code, close.reason)
            self._arm()

    def _finish(self, code: int, reason: str) -> None:
        if self._ending is None:
            self._ending = Ending(code, reason)
            self._changed.set()

    def _close(self, code: int | None, reason: str) -> None:
        if self._ws.state is State.OPEN:
            try:
                self._ws.send_close(code, reason)
            except ProtocolError:  # a code that must not be sent, from an ASGI server that passed it on
                self._ws.send_close(INTERNAL_ERROR)
            self._flush()
        self._arm()
        self._flow()

    def _arm(self) -> None:
        if self._timer is None and not self._transport.is_closing():
            self._timer = self._loop.call_later(self._closing_timeout, self._transport.abort)

    def _flush(self) -> None:
        for data in self._ws.data_to_send():
            if not self._transport.is_closing():
                if data == SEND_EOF:
                    self._transport.close()
                else:
                    self._transport.write(data)

    def _flow(self) -> None:
        """Read from the application only while nothing of it waits, and always once it is over."""
        if self._transport.is_closing():
            return
        if self._messages and self._ending is None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
