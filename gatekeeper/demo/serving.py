"""Runs one of the demo's ASGI apps on a free loopback port, in a thread that ends with the process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

_START_SECONDS = 20.0
_STOP_SECONDS = 5


class _Server(uvicorn.Server):
    """Says when it accepts connections, and when it never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.settled.set()


@contextlib.contextmanager
def serving(app: Any, *, port: int = 0) -> Iterator[int]:
    """Serve `app` on 127.0.0.1 while the block runs; gives the port (a free one for 0).

    Raises OSError when the port is taken, RuntimeError when the app does not start.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = _Server(config)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                server.settled.set()

        thread = threading.Thread(target=run, name="demo-app", daemon=True)
        thread.start()
        if not server.settled.wait(_START_SECONDS) or not server.started:
            raise RuntimeError("the sample application did not start")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS + 2)
