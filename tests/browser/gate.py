"""Gatekeeper in this process, as `serve` runs it, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from gatekeeper.build import Gatekeeper, create_app
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.run import StrictServer
from gatekeeper.serving.server import make_server_config
from gatekeeper.settings import make_settings

IDLE_SECONDS = 900.0
_START_SECONDS = 20.0


class MovableClock:
    """The real time, and as much later as the test says."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass(frozen=True)
class RunningGate:
    address: str
    """`http://127.0.0.1:port`."""
    administrator_link: str
    clock: MovableClock
    idle_timeout: float = IDLE_SECONDS


@contextlib.contextmanager
def running_gate(data_dir: Path, upstream_port: int, **more: Any) -> Iterator[RunningGate]:
    """Gatekeeper in front of `http://127.0.0.1:upstream_port` while the block runs. `more` are settings."""
    clock = MovableClock()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        data = {
            "public_url": address,
            "upstream": f"http://127.0.0.1:{upstream_port}",
            "data_dir": str(data_dir),
            "session": {"idle_timeout": f"{IDLE_SECONDS:.0f}s"},
            "log": {"level": "warning"},
        }
        data_dir.mkdir(exist_ok=True)
        app = create_app(make_settings(data | more), clock=clock)
        with _serving(app, listener) as token:
            yield RunningGate(address, f"{address}/_gate/setup#{token}", clock)


class _Server(StrictServer):
    """Fetches the administrator link's token inside the loop that the services live in."""

    def __init__(self, app: Gatekeeper) -> None:
        limits = ServerLimits()
        super().__init__(make_server_config(app, limits), limits)
        self._app = app
        self.settled = threading.Event()
        self.token: str | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._app.services is not None:
            self.token = await self._app.services.admin_link.issue()
        self.settled.set()


@contextlib.contextmanager
def _serving(app: Gatekeeper, listener: socket.socket) -> Iterator[str]:
    server = _Server(app)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve(sockets=[listener]))
        finally:
            server.settled.set()

    thread = threading.Thread(target=run, name="gatekeeper", daemon=True)
    thread.start()
    try:
        assert server.settled.wait(_START_SECONDS), "Gatekeeper does not start"
        assert server.token is not None, "Gatekeeper did not start"
        yield server.token
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "Gatekeeper does not stop"
