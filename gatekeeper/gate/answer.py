"""The way out: what the application answers passes here before it leaves."""

from __future__ import annotations

from collections.abc import Awaitable

from gatekeeper.core.headers import RawHeaders, answer_headers
from gatekeeper.core.protocols import Message, Send


class Answer:
    """A `send` that remembers whether an answer has begun, and cleans the application's headers.

    Until `protect` is called the answer is one of Gatekeeper's own pages and leaves as it is. Calling gives
    the server's own awaitable: one coroutine less for every message.
    """

    __slots__ = ("_own_cookies", "_private", "_send", "_set_cookies", "bytes", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._own_cookies: frozenset[bytes] | None = None
        self._private = False
        self._set_cookies: tuple[bytes, ...] = ()
        self.status = 0
        self.bytes = 0

    def protect(
        self, own_cookies: frozenset[bytes], *, private: bool, set_cookies: tuple[bytes, ...]
    ) -> None:
        """From now on the application speaks, not Gatekeeper."""
        self._own_cookies = own_cookies
        self._private = private
        self._set_cookies = set_cookies

    def unprotect(self) -> None:
        """Gatekeeper speaks itself after all: the application failed before it answered."""
        self._own_cookies = None

    @property
    def started(self) -> bool:
        return self.status != 0

    def headers(self, status: int, headers: RawHeaders) -> list[tuple[bytes, bytes]]:
        """The head of an answer, cleaned; for a raw WebSocket, whose 101 does not pass through `send`."""
        self.status = status
        if self._own_cookies is None:
            return list(headers)
        private = self._private and status != 101
        return answer_headers(
            headers, own_cookies=self._own_cookies, private=private, set_cookies=self._set_cookies
        )

    def __call__(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.body":
            self.bytes += len(message.get("body", b""))
        elif kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            status = message.get("status", 101)
            message["headers"] = self.headers(status, message.get("headers", ()))
        elif kind == "websocket.close" and self.status == 0:
            self.status = 403
        return self._send(message)
