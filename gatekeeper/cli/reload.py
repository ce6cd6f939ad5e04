"""`gatekeeper reload`: have the running Gatekeeper read its configuration anew, and say how it went."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from gatekeeper.cli import reload_report as report
from gatekeeper.cli.common import config_option, json_option, print_json, settings_from
from gatekeeper.cli.reload_plan import make_plan
from gatekeeper.serving.pidfile import State, read_pid_file

PATIENCE = 150.0
"""Seconds to wait for the answer: new processes may have to wait for a migration."""
_POLL = 0.05


@click.command()
@click.option(
    "--dry-run",
    is_flag=True,
    help="Change nothing: say which rules and keys would change, and who of those signed in loses what.",
)
@click.option(
    "--against",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --dry-run: compare with this configuration file, not with what runs.",
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH",
    help="With --dry-run: ask for this path, too. May be given again.",
)
@config_option
@json_option
def reload(dry_run: bool, against: Path | None, paths: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Check the configuration and have the running `gatekeeper serve` take it over.

    Nobody is signed out and no request is lost. A configuration with mistakes changes nothing: they are
    printed with their lines, and the exit code is 1.
    """
    if dry_run:
        _rehearse(config, against, paths, as_json=as_json)
        return
    if against is not None or paths or as_json:
        raise click.UsageError("--against, --path and --json go with --dry-run")
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


def _rehearse(config: Path, against: Path | None, paths: tuple[str, ...], *, as_json: bool) -> None:
    if wrong := next((path for path in paths if not path.startswith("/")), None):
        raise click.UsageError(f"--path {wrong} must begin with /")
    plan = make_plan(config, against, paths)
    if as_json:
        print_json(report.as_json(plan))
        return
    for line in report.in_words(plan):
        click.echo(line)


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
