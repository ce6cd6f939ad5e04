"""The whole of Gatekeeper over real sockets, in a thread: server, gate, sessions, upstream client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from gatekeeper.audit.events import Source
from gatekeeper.build import Gatekeeper, create_app
from gatekeeper.build.services import Services
from gatekeeper.core.clock import Clock
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.run import StrictServer
from gatekeeper.serving.server import make_server_config
from gatekeeper.settings import make_settings

T = TypeVar("T")

PASSWORD = "four random words here"
_START = 20.0


class Whole:
    """A running Gatekeeper; `call` runs a coroutine of its services inside its event loop."""

    def __init__(self, app: Gatekeeper, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self._loop = loop

    def call(self, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        services = self.app.services
        assert services is not None
        return asyncio.run_coroutine_threadsafe(work(services), self._loop).result(30)

    def add_user(self, login: str, *roles: str) -> int:
        async def add(services: Services) -> int:
            user = await services.users.add(
                login, name=login.title(), email="", roles=list(roles), password=PASSWORD, by=Source("test")
            )
            return user.id

        return self.call(add)

    def cookie(self, user_id: int) -> str:
        """The Cookie header of a fresh, complete session."""

        async def start(services: Services) -> str:
            _, value = await services.sessions.start(
                user_id, methods="pwd", remembered=False, client="127.0.0.1", user_agent="test"
            )
            return value

        return f"gatekeeper={self.call(start)}"


class _Server(StrictServer):
    def __init__(self, app: Gatekeeper, limits: ServerLimits) -> None:
        super().__init__(make_server_config(app, limits), limits)
        self.settled = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.loop = asyncio.get_running_loop()
        self.settled.set()


@contextlib.contextmanager
def whole(
    data_dir: Path,
    upstream: str | dict[str, Any],
    *,
    limits: ServerLimits | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Iterator[Whole]:
    """Gatekeeper in front of `upstream` (an address as in the YAML) while the block runs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        data = {
            "public_url": f"http://127.0.0.1:{port}",
            "upstream": upstream,
            "data_dir": str(data_dir),
            "log": {"level": "warning"},
        }
        app = create_app(make_settings(data | settings), clock=clock)
        with running(app, listener, limits) as found:
            yield found


@contextlib.contextmanager
def running(app: Gatekeeper, listener: socket.socket, limits: ServerLimits | None = None) -> Iterator[Whole]:
    """`app` behind the bound socket `listener` while the block runs."""
    server = _Server(app, limits or ServerLimits(body=2_000_000_000))

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve(sockets=[listener]))
        finally:
            server.settled.set()

    thread = threading.Thread(target=run, name="gatekeeper", daemon=True)
    thread.start()
    try:
        assert server.settled.wait(_START) and server.loop is not None, "Gatekeeper did not start"
        yield Whole(app, listener.getsockname()[1], server.loop)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "Gatekeeper does not stop"
