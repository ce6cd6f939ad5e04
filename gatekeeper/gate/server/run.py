"""uvicorn's server, on sockets that the caller has bound, with a time limit on the TLS hand-shake.

The protocol class is made only once the hand-shake is over, so the limit (uvicorn leaves it at the event
loop's 60 s) has to be set where the listening server is created.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from gatekeeper.gate.server.config import ServerLimits


class StrictServer(Server):
    """Serves `config.http_protocol_class` on bound sockets; give them to `serve(sockets=...)` or `run`."""

    def __init__(self, config: Config, limits: ServerLimits) -> None:
        super().__init__(config)
        self._limits = limits

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
