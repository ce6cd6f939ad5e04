"""What the commands that work on the database share: options, opening, errors in one line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from gatekeeper.audit.events import Source
from gatekeeper.audit.log import AuditLog
from gatekeeper.build.database import make_database
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.settings import Settings, SettingsError, load_settings
from gatekeeper.storage.engine import Database
from gatekeeper.storage.sqlite import file_of

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("gatekeeper.yaml"),
    show_default=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings_from(config: Path, *, serving: bool = False, create: bool = False) -> Settings:
    """The settings in `config`; every problem on a line of its own and exit code 1 when there are any.

    `serving` and `create` make the secret when there is none yet; `serving` needs an upstream and the files
    of `tls`, too.
    """
    return or_exit(
        lambda: load_settings(
            config, os.environ, create=serving or create, needs_upstream=serving, serving=serving
        )
    )


def or_exit(load: Callable[[], T]) -> T:
    """What `load` reads; every problem of a SettingsError on a line of its own and exit code 1."""
    try:
        return load()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise click.exceptions.Exit(1) from error


def with_database(
    config: Path,
    work: Callable[[Settings, Database], Coroutine[Any, Any, T]],
    *,
    create: bool = False,
    secret: bool = False,
) -> T:
    """Run `work` on the opened database of `config`; an expected error is one line and exit code 1.

    `create` makes an installation where there is none. All else refuses then and makes nothing: whoever
    mistyped `data_dir` would be told that there are no accounts. `secret` makes a missing secret, too.
    """
    settings = settings_from(config)
    if not create:
        _check_present(settings)
    if create or secret:
        settings = settings_from(config, create=True)

    async def opened() -> T:
        db = make_database(settings)
        await db.open(create=create)
        try:
            return await work(settings, db)
        finally:
            await db.close()

    try:
        with _logs_to_stderr():
            return asyncio.run(opened())
    except GatekeeperError as error:
        raise click.ClickException(str(error)) from error


def _check_present(settings: Settings) -> None:
    if settings.shared:
        return  # whoever opens it finds out
    _, path = file_of(settings.database, settings.data_dir)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        key = "database" if "database" in settings.model_fields_set else "data_dir"
        raise click.ClickException(f"no database at {path}; is {key} right?") from error
    except OSError as error:
        raise click.ClickException(f"the database {path} cannot be opened: {error.strerror}") from error


@contextlib.contextmanager
def _logs_to_stderr() -> Iterator[None]:
    """structlog's own default is standard output, where what a command prints may be read by a program."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


def audit_log(db: Database, clock: Clock) -> AuditLog:
    """The audit log of a command: rows as everywhere, JSON lines on standard error.

    On a terminal the lines are left out: what the command prints says the same to the person there.
    """
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    if sys.stderr.isatty():
        processors.insert(0, _drop)
    return AuditLog(
        db, clock, structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=processors)
    )


def operator() -> Source:
    """Who runs this command, as the audit log names them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        name = str(os.getuid())
    return Source(actor=f"cli:{name}")


def print_json(value: object) -> None:
    """`value` on standard output, readable by people too."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def when(seconds: float | None) -> str | None:
    """A time as text, UTC: 2026-01-31T12:00:00Z."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _drop(_logger: object, _method: str, _event: structlog.types.EventDict) -> structlog.types.EventDict:
    raise structlog.DropEvent
