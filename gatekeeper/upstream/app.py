"""The reverse proxy as an ASGI application."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Literal

from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.upstream.connect import make_ssl_context, open_connection
from gatekeeper.upstream.connection import UpstreamConnection
from gatekeeper.upstream.exchange import AsgiExchange
from gatekeeper.upstream.framing import RequestHead, write_head
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.pool import ConnectionPool
from gatekeeper.upstream.rewrite import Rewriter

HostPolicy = Literal["keep", "rewrite"]


class UpstreamApp:
    """Hands requests to one application and its answers back, streamed, with back-pressure both ways.

    Expects headers already cleaned of hop-by-hop fields and of identity, and adds nothing of its own but
    Host and framing. `raw_path` and `query_string` are sent byte for byte.

    Raises `UpstreamFailure` (502, 503, 504) or `RequestRejected` (400) before the response began; whatever
    it raises later means that the client's connection must break.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        public_origins: Sequence[str] = (),
        host_policy: HostPolicy = "keep",
        limits: UpstreamLimits | None = None,
        ssl_context: ssl.SSLContext | None = None,
        websocket: ASGIApp | None = None,
        on_error: Callable[[BaseException], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`public_origins`: `scheme://host[:port]` under which it is reached, put where its own would leak.

        `websocket` is called for websocket scopes; `on_error` hears of errors in background tasks; `now`
        counts seconds and never goes back.
        """
        self.limits = limits or UpstreamLimits()
        self.tasks = TaskKeeper(on_error)
        self.pool = ConnectionPool(self._connect, self.limits, now)
        self._origin = origin
        self._ssl = ssl_context or make_ssl_context() if origin.tls else None
        self._own_host = origin.authority.encode("ascii")
        self._host = self._own_host if host_policy == "rewrite" else None
        self._rewriter = Rewriter(origin, public_origins)
        self._websocket = websocket
        self._now = now
        self._live: set[AsgiExchange] = set()
        self.loop: asyncio.AbstractEventLoop
        """The one that the requests come from."""
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._timer is None:
                self.loop = asyncio.get_running_loop()
                self._arm()
            exchange = AsgiExchange(self, scope, receive, send)
            self._live.add(exchange)
            try:
                await exchange.run()
            finally:
                self._live.discard(exchange)
        elif scope["type"] == "websocket" and self._websocket is not None:
            await self._websocket(scope, receive, send)
        else:
            raise ValueError(f"scope type {scope['type']!r} is not for the application")

    def request_head(self, scope: Scope) -> RequestHead:
        """The bytes that the application gets for `scope`. Raises `RequestRejected`."""
        target: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        return write_head(
            scope["method"],
            b"%b?%b" % (target, query) if query else target,
            scope["headers"],
            host=self._host,
            fallback_host=self._own_host,
            version=scope["http_version"],
        )

    def sweep(self, now: float) -> None:
        """Enforce every deadline as of `now`; begin to watch the clients of exchanges that take long."""
        self.pool.sweep(now)
        for exchange in list(self._live):
            if exchange.seen:
                exchange.watch_client()
            exchange.seen = True

    async def aclose(self) -> None:
        """Close idle connections and stop the background tasks; call when no request is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.tasks.close()
        await self.pool.aclose()

    async def _connect(self) -> UpstreamConnection:
        return await open_connection(
            self._new_connection, self._origin, timeout=self.limits.connect_timeout, ssl_context=self._ssl
        )

    def _new_connection(self) -> UpstreamConnection:
        return UpstreamConnection(self.pool, self.limits, self._rewriter, self._now)

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.limits.tick, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.sweep(self._now())
        if self._live or self.pool.open:
            self._arm()
