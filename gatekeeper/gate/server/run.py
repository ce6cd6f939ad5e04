"""uvicorn's server, on sockets that the caller has bound, with a time limit on the TLS hand-shake.

The protocol class is made only once the hand-shake is over, so the limit (uvicorn leaves it at the event
loop's 60 s) has to be set where the listening server is created.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any, cast

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.protocol import StrictProtocol

FAREWELL = 2.0
"""Seconds that WebSockets, and requests that were cut off, have to end."""
_POLL = 0.02

logger = logging.getLogger("gatekeeper.server")


class StrictServer(Server):
    """Serves `config.http_protocol_class` on bound sockets; give them to `serve(sockets=...)` or `run`."""

    def __init__(self, config: Config, limits: ServerLimits) -> None:
        super().__init__(config)
        self._limits = limits
        self.patient = False
        """Whether WebSockets may live on for as long as requests may take, when it stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen. Raises ValueError without sockets."""
        if not sockets:
            raise ValueError("StrictServer needs the sockets to listen on")
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        config = self.config
        loop = asyncio.get_running_loop()

        def make() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )

        self.servers = []
        for sock in sockets:
            server = await loop.create_server(
                make,
                sock=sock,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=self._limits.head_seconds if config.ssl else None,
                ssl_shutdown_timeout=self._limits.linger_seconds if config.ssl else None,
            )
            self.servers.append(server)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody new; finish what is under way, then end the WebSockets, then the application.

        All of it within `timeout_graceful_shutdown` seconds and a moment for farewells; then what is left is
        cut off. A kept connection gets a second to say what it was about to say (`StrictProtocol.shutdown`):
        closed at once, it would take requests with it that are on their way already.
        """
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        cast(Any, self.config.http_protocol_class).registry.stopping = True
        state = self.server_state
        for connection in self._connections(http=True):
            connection.shutdown()
        seconds = float(self.config.timeout_graceful_shutdown or 0)
        until = asyncio.get_running_loop().time() + seconds
        await _wait(lambda: not (state.connections if self.patient else self._connections(http=True)), until)
        for connection in self._connections(http=False):
            connection.shutdown()
        until = max(until, asyncio.get_running_loop().time() + FAREWELL)
        await _wait(lambda: not state.connections and not state.tasks, until)
        if tasks := list(state.tasks):
            logger.warning("%d requests were cut off after drain_timeout", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=FAREWELL)
        await self.lifespan.shutdown()

    def _connections(self, *, http: bool) -> list[Any]:
        """Those that wait for or answer a request, or all others: WebSockets."""
        return [
            connection
            for connection in self.server_state.connections
            if isinstance(connection, StrictProtocol) is http
        ]


async def _wait(done: Callable[[], bool], until: float) -> None:
    """uvicorn's sets of connections and tasks have no event to wait for."""
    loop = asyncio.get_running_loop()
    while not done() and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)
