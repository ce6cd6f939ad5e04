"""`gatekeeper serve`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import structlog
import uvloop

from gatekeeper import __version__
from gatekeeper.build import Gatekeeper
from gatekeeper.cli.common import config_option, or_exit
from gatekeeper.gate.server.descriptors import raise_descriptor_limit
from gatekeeper.serving.server import make_server, make_server_limits
from gatekeeper.serving.sockets import CannotListen, close_all, listen_on
from gatekeeper.serving.supervisor import Supervisor
from gatekeeper.settings import Settings
from gatekeeper.settings.load import Source, load_with_source
from gatekeeper.settings.snapshot import write_snapshot
from gatekeeper.telemetry import logs

log = structlog.get_logger("gatekeeper")


@click.command()
@config_option
def serve(config: Path) -> None:
    """Serve the application named in the configuration.

    SIGHUP (or `gatekeeper reload`) reads the configuration anew; SIGTERM finishes what is under way and ends.
    """
    configuration = _Configuration(config)
    settings = or_exit(configuration.load)
    logs.configure(settings.log.level, settings.log.format)
    supervisor = Supervisor(settings, configuration.load, describe=configuration.describe)
    try:
        code = supervisor.run()
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    if code:
        raise click.exceptions.Exit(code)


class _Configuration:
    """The file, and what it said when it was last read."""

    def __init__(self, config: Path) -> None:
        self._read = partial(load_with_source, config.absolute(), dict(os.environ))
        self._last: tuple[Settings, Source] | None = None

    def load(self) -> Settings:
        """Raises SettingsError."""
        self._last = self._read()
        return self._last[0]

    def describe(self, settings: Settings) -> str:
        """What is kept of `settings`, which must be what was read last."""
        if self._last is None or self._last[0] is not settings:
            raise RuntimeError("these settings are not those that were read last")
        return write_snapshot(self._last[1], settings.secrets[0].get_secret_value(), version=__version__)


def run_server(app: Gatekeeper, *, on_started: Callable[[], None] = lambda: None) -> bool:
    """Serve `app` in this process until SIGINT or SIGTERM; True when it could not start.

    Raises CannotListen.
    """
    limits = make_server_limits(app.settings, raise_descriptor_limit())
    listen = app.settings.listen
    sockets = [listen_on(address) for address in listen]
    server = make_server(app, limits, on_started=on_started)
    # uvicorn stops gracefully and then raises the signal once more: a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=sockets))
    except KeyboardInterrupt:
        log.debug("interrupted")
    finally:
        for address, sock in zip(listen, sockets, strict=True):
            close_all(address, [sock], unlink=True)
    return not server.started
