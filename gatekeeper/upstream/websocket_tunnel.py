"""The raw road: frames pass between two sockets as they came, and a Close of ours can be put between them.

RFC 6455 sections 5.4 (control frames between fragments), 7.1.1 (the server closes TCP first) and 7.4.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from gatekeeper.core.protocols import Tunnel
from gatekeeper.upstream.websocket_connect import Opened
from gatekeeper.upstream.websocket_frames import GOING_AWAY, FrameTracker, close_frame

CLOSING_TIMEOUT = 2.0
"""Seconds that both ends have for their closing hand-shake once we ended the connection. A revocation is
known within 1 s and must have cut every WebSocket within 5 s."""
LINGER_TIMEOUT = 30.0
"""Seconds that one end has to take what is left once the other end is gone."""


class Bridge(asyncio.Protocol):
    """Joins a client's connection (it is the `TunnelPeer`) and the application's (it is its protocol).

    Each side's bytes wait in the other's transport only, and each side stops being read while the other's
    buffer is full. `done` is set once both connections are gone.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        compressed: bool,
        message_max: int,
        on_activity: Callable[[], None] | None = None,
        closing_timeout: float = CLOSING_TIMEOUT,
        linger_timeout: float = LINGER_TIMEOUT,
    ) -> None:
        """`compressed`, `message_max` (bytes): see `FrameTracker`; time limits in seconds."""
        self._from_client = FrameTracker(masked=True, compressed=compressed, message_max=message_max)
        self._from_upstream = FrameTracker(masked=False, compressed=compressed, message_max=message_max)
        self._on_activity = on_activity
        self._closing_timeout = closing_timeout
        self._linger_timeout = linger_timeout
        self._loop = asyncio.get_running_loop()
        self._client: asyncio.Transport | None = None
        self._opened = opened
        self._upstream = opened.connection.transport
        self._client_gone = False
        self._upstream_gone = False
        self._code = 0
        self._reason = ""
        self._told_client = False
        self._told_upstream = False
        self._timer: asyncio.TimerHandle | None = None
        self.done: asyncio.Future[None] = self._loop.create_future()

    def join(self, tunnel: Tunnel, head: bytes) -> None:
        """Answer the client with `head` (the 101) and let the frames flow."""
        late = self._opened.connection.take_over(self)
        self._client = tunnel.accept(head, self)  # what the client sent early comes before this returns
        if late:
            self.data_received(late)
        if self._code:
            self._settle()
        elif self._from_client.error:
            self.end(self._from_client.error)
        if self._upstream.is_closing():
            self.connection_lost(None)
        else:
            self._resume(self._upstream)

    def end(self, code: int, reason: str = "") -> None:
        """Close both sides with `code`, each after the frame that is under way to it; bounded in time."""
        if self._code or self.done.done():
            return
        self._code, self._reason = code, reason
        self._told_client = self._told_client or self._from_upstream.closed  # nobody is told twice
        self._told_upstream = self._told_upstream or self._from_client.closed
        self._from_upstream.quiet()
        self._from_client.quiet()
        self._expire_after(self._closing_timeout)
        self._settle()

    def abort(self) -> None:
        """Drop both connections at once."""
        for transport in (self._client, self._upstream):
            if transport is not None:
                transport.abort()

    # The client's side (TunnelPeer)

    def client_data(self, data: bytes) -> None:
        tracker = self._from_client
        passed = tracker.feed(data)
        if passed and not self._upstream.is_closing():
            self._upstream.write(passed)
        if tracker.active:
            tracker.active = False
            if self._on_activity is not None and not self._code:
                self._on_activity()
        if self._code:
            self._settle()
        elif tracker.error and self._client is not None:
            self.end(tracker.error)

    def client_eof(self) -> None:
        upstream = self._upstream
        if self._code:
            self._close(self._client)
        elif not upstream.is_closing():
            self._told_upstream = True
            self._from_client.quiet()
            self._expire_after(self._linger_timeout)
            if upstream.can_write_eof():
                upstream.write_eof()
            elif not self._from_client.closed:
                upstream.close()

    def client_lost(self, error: Exception | None) -> None:
        self._client_gone = True
        if not self._code or not self._told_upstream:
            self._close(self._upstream)
        self._gone()

    def pause_upstream(self) -> None:
        if not self._told_client and not self._upstream.is_closing():
            self._upstream.pause_reading()

    def resume_upstream(self) -> None:
        self._resume(self._upstream)

    def shutdown(self) -> None:
        self.end(GOING_AWAY)

    # The application's side (asyncio.Protocol)

    def data_received(self, data: bytes) -> None:
        tracker = self._from_upstream
        passed = tracker.feed(data)
        if passed and self._client is not None and not self._client.is_closing():
            self._client.write(passed)
        if self._code:
            self._settle()
        elif tracker.error:
            self.end(tracker.error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream_gone = True
        if not self._code or not self._told_client:  # a frame that broke off leaves no room for a Close
            self._close(self._client)
        self._gone()

    def pause_writing(self) -> None:
        if self._client is not None and not self._told_upstream and not self._client.is_closing():
            self._client.pause_reading()

    def resume_writing(self) -> None:
        self._resume(self._client)

    # Ending

    def _settle(self) -> None:
        """Once `end` was called: tell whoever can be told now, and let go whoever has answered."""
        client, upstream = self._client, self._upstream
        if client is None:
            return
        if not self._told_client and self._from_upstream.at_boundary:
            self._told_client = True
            if not client.is_closing():
                client.write(close_frame(self._code, self._reason))
            self._resume(upstream)
            if self._from_client.error and not client.is_closing() and client.can_write_eof():
                client.write_eof()  # its Close cannot be read any more: it must see the end (section 7.1.7)
        if not self._told_upstream and self._from_client.at_boundary:
            self._told_upstream = True
            if not upstream.is_closing():
                upstream.write(close_frame(self._code, self._reason, mask=secrets.token_bytes(4)))
            self._resume(client)
        if self._told_client and self._from_client.closed:
            self._close(client)

    def _close(self, transport: asyncio.Transport | None) -> None:
        """Close after what is buffered was taken, which is bounded in time."""
        if transport is not None and not transport.is_closing():
            transport.close()
            self._expire_after(self._linger_timeout)

    def _resume(self, transport: asyncio.Transport | None) -> None:
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def _expire_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self.abort)
        elif self._code and self._timer.when() > self._loop.time() + seconds:
            self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self.abort)

    def _gone(self) -> None:
        if self._client_gone and self._upstream_gone:
            if self._timer is not None:
                self._timer.cancel()
            if not self.done.done():
                self.done.set_result(None)
