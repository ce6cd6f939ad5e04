"""`gatekeeper check` and `gatekeeper schema`: is this configuration right, and what may it say?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gatekeeper.cli.common import config_option
from gatekeeper.settings import Settings, SettingsError, load_settings
from gatekeeper.settings.schema import json_schema
from gatekeeper.settings.units import duration_text


@click.command()
@config_option
def check(config: Path) -> None:
    """Check a configuration file and the environment; nothing is started or written.

    Every error is one line on standard error, `file:line:column: key: what is wrong`, and the exit code is 1.
    """
    try:
        settings = load_settings(config, os.environ, create=False)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        click.echo(_count(len(error.problems), "error"), err=True)
        raise click.exceptions.Exit(1) from error
    click.echo(f"{config}: OK")
    for line in _summary(settings):
        click.echo(line)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def _summary(settings: Settings) -> list[str]:
    """What the configuration comes to, without secrets."""
    upstream = settings.upstream.url if settings.upstream is not None else "(no application: forward auth)"
    secrets = len(settings.secrets)
    session = settings.session
    return [
        f"  {settings.public_url} -> {upstream}, listening on {', '.join(settings.listen)}",
        f"  sessions end after {duration_text(session.idle_timeout)} without activity, "
        f"after {duration_text(session.absolute_timeout)} at the latest",
        f"  {_count(len(settings.rules), 'rule')}; everything else needs a sign-in",
        f"  database {settings.database.removeprefix('sqlite+aiosqlite:///')}",
        f"  {_count(secrets, 'secret')}"
        + ("" if secrets else f": one will be made in {settings.data_dir} at the first start"),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
