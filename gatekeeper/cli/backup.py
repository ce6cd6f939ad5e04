"""`gatekeeper backup` and `gatekeeper restore`: the embedded database, as one file."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gatekeeper.cli.common import config_option, operator, settings_from
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.serving.pidfile import read_pid_file
from gatekeeper.settings import Settings
from gatekeeper.storage.backups import restore_backup, write_backup
from gatekeeper.storage.sqlite import file_of

_POSTGRES = "the database is PostgreSQL's: use its own tools (pg_dump, pg_basebackup, point-in-time recovery)"
_REMINDER = (
    "The secret is not in it: keep a copy elsewhere. Whoever has both can read the keys of second factors; "
    "without it nobody's second factor can be checked."
)
_force = click.option("--force", is_flag=True, help="Replace what is there.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_force
@config_option
def backup(file: Path, force: bool, config: Path) -> None:
    """Write a checked copy of the embedded database to FILE, also while `gatekeeper serve` runs.

    The copy has mode 600. It holds password hashes, sessions and the audit log, and not the secret.
    """
    database = _database(settings_from(config))
    if not database.exists():
        raise click.ClickException(f"no database at {database}")
    try:
        write_backup(database, file, force=force)
    except FileExistsError as error:
        raise click.ClickException(f"{error}: choose another name, or --force") from error
    except (GatekeeperError, OSError) as error:
        raise click.ClickException(f"no backup was made: {error}") from error
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, integrity check passed.\n{_REMINDER}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_force
@config_option
def restore(file: Path, force: bool, config: Path) -> None:
    """Put the backup FILE in the place of the embedded database; `gatekeeper serve` must not run.

    Everybody has to sign in again, and links that were mailed open nothing any more: what ended after the
    backup was made must not come back. Locks, used recovery codes and changes since then are as they were.
    """
    settings = settings_from(config, create=True)
    database = _database(settings)
    try:
        if (running := read_pid_file(settings.data_dir)) is not None:
            raise click.ClickException(f"`gatekeeper serve` runs (process {running.pid}): stop it first")
        done = restore_backup(file, database, now=time.time(), actor=operator().actor, force=force)
    except FileExistsError as error:
        raise click.ClickException(f"{error}: --force replaces it, and keeps it beside") from error
    except (GatekeeperError, OSError) as error:
        raise click.ClickException(f"nothing was restored: {error}") from error
    click.echo(
        f"{database}: {done.users} accounts; {done.sessions_ended} sessions ended, "
        f"{done.links_closed} mailed links closed."
    )
    if done.replaced is not None:
        click.echo(f"The database of before is {done.replaced}")
    click.echo("Needs the secret of the backup's time: see docs/secrets.md")


def _database(settings: Settings) -> Path:
    if settings.shared:
        raise click.ClickException(_POSTGRES)
    return file_of(settings.database, settings.data_dir)[1]
