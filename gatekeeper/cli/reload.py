"""`gatekeeper reload`: have the running Gatekeeper read its configuration anew, and say how it went."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from gatekeeper.cli.common import config_option, settings_from
from gatekeeper.serving.pidfile import State, read_pid_file

PATIENCE = 150.0
"""Seconds to wait for the answer: new processes may have to wait for a migration."""
_POLL = 0.05


@click.command()
@config_option
def reload(config: Path) -> None:
    """Check the configuration and have the running `gatekeeper serve` take it over.

    Nobody is signed out and no request is lost. A configuration with mistakes changes nothing: they are
    printed with their lines, and the exit code is 1.
    """
    settings = settings_from(config, serving=True)
    before = _running(settings.data_dir)
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError as error:
        raise click.ClickException(f"process {before.pid} is another user's: run this as its user") from error
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(_POLL)
        now = _running(settings.data_dir)
        if now.pid == before.pid and now.reloads > before.reloads:
            if now.error:
                raise click.ClickException(f"refused, the old settings stay:\n{now.error}")
            click.echo(f"Reloaded (process {now.pid}).")
            return
    raise click.ClickException(f"process {before.pid} has not answered for {PATIENCE:.0f} s: see its log")


def _running(data_dir: Path) -> State:
    deadline = time.monotonic() + 1.0
    while True:
        try:
            found = read_pid_file(data_dir)
        except OSError as error:
            raise click.ClickException(
                f"{data_dir}: {error.strerror}: run this as Gatekeeper's user"
            ) from error
        if found is None:
            raise click.ClickException(f"no `gatekeeper serve` runs with the data_dir {data_dir}")
        if found.pid or time.monotonic() > deadline:
            return found
        time.sleep(_POLL)
