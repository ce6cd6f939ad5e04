"""uvicorn's server around one Gatekeeper: its configuration, its start, its end."""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from gatekeeper.build import Gatekeeper
from gatekeeper.gate.server.config import OnRefusal, ServerLimits
from gatekeeper.gate.server.descriptors import fit_to_descriptors
from gatekeeper.gate.server.protocol import log_refusal, make_protocol
from gatekeeper.gate.server.run import StrictServer
from gatekeeper.settings import Settings


class GateServer(StrictServer):
    """Calls `on_started` when the first request can come, and `on_stopping` when it stops accepting.

    `supervised`: signals are the supervisor's affair, but for SIGTERM (stop) and SIGUSR1 (another process
    has taken over: let WebSockets live on for as long as requests may take).
    """

    def __init__(
        self,
        config: uvicorn.Config,
        limits: ServerLimits,
        *,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = lambda: None,
        supervised: bool = False,
    ) -> None:
        super().__init__(config, limits)
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._supervised = supervised

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        gc.collect()
        gc.freeze()  # what is here now stays: no collection has to look at it again
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._supervised:
            with super().capture_signals():
                yield
            return
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGUSR1, self._hand_over)
        for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to us as well
            signal.signal(ignored, signal.SIG_IGN)
        yield

    def _stop(self, *_: object) -> None:
        self.patient = False
        self.should_exit = True

    def _hand_over(self, *_: object) -> None:
        self.patient = True
        self.should_exit = True


def make_server_config(
    app: Gatekeeper, limits: ServerLimits, *, on_refusal: OnRefusal = log_refusal
) -> uvicorn.Config:
    """uvicorn with our protocol class, and nothing that believes a client's headers."""
    settings = app.settings
    tls = settings.tls
    return uvicorn.Config(
        app,
        http=make_protocol(
            limits, on_refusal, immediate=(f"{settings.prefix}/auth/".encode("ascii"), app.immediate)
        ),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=settings.drain_timeout,  # type: ignore[arg-type]  # any number will do
        ssl_certfile=tls.cert_file if tls else None,
        ssl_keyfile=tls.key_file if tls else None,
    )


def make_server_limits(settings: Settings, descriptors: int) -> ServerLimits:
    """The configured limits, and no more clients than there are descriptors for."""
    wanted = ServerLimits(
        body=settings.limits.request_body,
        connections=settings.limits.connections,
        connections_per_client=settings.limits.connections_per_client,
        exempt=settings.proxy_networks,
    )
    return fit_to_descriptors(wanted, descriptors, upstream=settings.upstream_connections)


def make_server(
    app: Gatekeeper,
    limits: ServerLimits,
    *,
    on_started: Callable[[], None],
    on_stopping: Callable[[], None] = lambda: None,
    on_refusal: OnRefusal = log_refusal,
    supervised: bool = False,
) -> GateServer:
    config = make_server_config(app, limits, on_refusal=on_refusal)
    return GateServer(config, limits, on_started=on_started, on_stopping=on_stopping, supervised=supervised)
