"""`gatekeeper serve`: sockets, the server, signals."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import click
import structlog
import uvicorn
import uvloop

from gatekeeper.build import Gatekeeper, create_app
from gatekeeper.cli.common import config_option, settings_from
from gatekeeper.cli.notify import READY, STOPPING, notify
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.descriptors import fit_to_descriptors, raise_descriptor_limit
from gatekeeper.gate.server.protocol import log_refusal, make_protocol
from gatekeeper.gate.server.run import StrictServer
from gatekeeper.settings import Settings
from gatekeeper.telemetry import logs

STOP_SECONDS = 20
"""How long requests under way may take after SIGTERM before they are cut."""

log = structlog.get_logger("gatekeeper")


class CannotListen(Exception):
    """An address cannot be bound; the text names it and why."""


class _Server(StrictServer):
    def __init__(self, config: uvicorn.Config, limits: ServerLimits, on_started: Callable[[], None]) -> None:
        super().__init__(config, limits)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        gc.collect()
        gc.freeze()  # what is here now stays: no collection has to look at it again
        notify(READY)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify(STOPPING)
        await super().shutdown(sockets=sockets)


@click.command()
@config_option
def serve(config: Path) -> None:
    """Serve the application named in the configuration."""
    settings = settings_from(config, serving=True)
    logs.configure(settings.log.level, settings.log.format)
    app = create_app(settings)

    def started() -> None:
        log.info("serving", public_url=settings.public_url, listen=list(settings.listen))

    try:
        failed = run_server(app, on_started=started)
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    if failed:
        raise click.exceptions.Exit(3)


def run_server(app: Gatekeeper, *, on_started: Callable[[], None] = lambda: None) -> bool:
    """Serve until SIGINT or SIGTERM; True when it could not start. Raises CannotListen.

    Requests under way are finished, WebSockets get 1001, all within STOP_SECONDS.
    """
    limits = make_server_limits(app.settings, raise_descriptor_limit())
    sockets = [listen_on(address) for address in app.settings.listen]
    server = _Server(make_server_config(app, limits), limits, on_started)
    # uvicorn stops gracefully and then raises the signal once more: a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=sockets))
    except KeyboardInterrupt:
        log.debug("interrupted")
    finally:
        for sock in sockets:
            sock.close()
        for address in app.settings.listen:
            if address.startswith("unix:"):
                Path(address.removeprefix("unix:")).unlink(missing_ok=True)
    return not server.started


def make_server_config(app: Gatekeeper, limits: ServerLimits) -> uvicorn.Config:
    """uvicorn with our protocol class, and nothing that believes a client's headers."""
    settings = app.settings
    tls = settings.tls
    return uvicorn.Config(
        app,
        http=make_protocol(
            limits, log_refusal, immediate=(f"{settings.prefix}/auth/".encode("ascii"), app.immediate)
        ),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
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
    upstream = settings.upstream_connections
    return fit_to_descriptors(wanted, descriptors, upstream=upstream)


def listen_on(address: str) -> socket.socket:
    """A bound, listening socket for `host:port`, `[v6]:port` or `unix:/path`. Raises CannotListen."""
    try:
        if address.startswith("unix:"):
            return _listen_unix(Path(address.removeprefix("unix:")))
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, int(port)))
        except BaseException:
            sock.close()
            raise
        return sock
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error


def _listen_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _remove_if_dead(path)
        sock.bind(str(path))
        path.chmod(0o660)  # the proxy in front shares our group
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_if_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
