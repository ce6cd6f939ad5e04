"""`gatekeeper secret …`: what the installation's secret encrypts."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gatekeeper.accounts import kept_forms
from gatekeeper.assertions import keys
from gatekeeper.audit.events import EventKind
from gatekeeper.cli.common import (
    audit_log,
    config_option,
    json_option,
    operator,
    print_json,
    settings_from,
    with_database,
)
from gatekeeper.factors import totp
from gatekeeper.mail import outbox
from gatekeeper.settings import Settings
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database
from gatekeeper.storage.sealed import Resealed, Sealed, reseal

SEALED = (
    Sealed("second factors", totp.PURPOSE, tables.totp.c.secret),
    Sealed("waiting mails", outbox.PURPOSE, tables.outbox.c.content),
    Sealed("signing keys", keys.PURPOSE, tables.signing_keys.c.private_key),
    Sealed("kept forms", kept_forms.PURPOSE, tables.kept_forms.c.content),
    Sealed("kept forms' summaries", kept_forms.PURPOSE, tables.kept_forms.c.summary),
)
"""Everything that is stored encrypted."""


@click.group()
def secret() -> None:
    """Replace the secret of the installation."""


@secret.command()
@config_option
@json_option
def rotate(config: Path, as_json: bool) -> None:
    """Encrypt everything stored under older secrets with the first one.

    Safe while the server runs, if every process was restarted since the new secret was put first. Afterwards
    the older secrets are needed for sessions alone, until those have ended. Exit code 1 when something
    cannot be decrypted with any of the secrets; everything else is done nevertheless.
    """

    async def work(settings: Settings, db: Database) -> tuple[int, list[Resealed]]:
        secrets = [one.get_secret_value() for one in settings.secrets]
        results = [await reseal(db, sealed, secrets) for sealed in SEALED]
        by = operator()
        await audit_log(db, time.time).record(
            EventKind.SECRET_ROTATED,
            actor=by.actor,
            details={
                "encrypted_anew": sum(result.done for result in results),
                "already": sum(result.already for result in results),
                "not_decrypted": sum(len(result.broken) for result in results),
            },
        )
        return len(secrets), results

    if not settings_from(config).secrets:
        raise click.ClickException("there is no secret yet: it is made at the first start")
    number, results = with_database(config, work)
    if as_json:
        print_json([result._asdict() for result in results])
    else:
        _say(number, results)
    broken = sum(len(result.broken) for result in results)
    if broken:
        raise click.ClickException(
            f"{broken} cannot be decrypted with any of the {number} configured secrets: add the one that they"
            " are under, or give up the second factors by `gatekeeper user reset-2fa LOGIN`"
        )


def _say(number: int, results: list[Resealed]) -> None:
    if number == 1:
        click.echo("One secret is configured; to replace it, put a new one in front of it first.")
    for result in results:
        said = f"{result.done} encrypted anew, {result.already} under the first secret already"
        if result.broken:
            numbers = ", ".join(str(key) for key in result.broken)
            said += f", {len(result.broken)} not decrypted (ids {numbers})"
        click.echo(f"{result.what}: {said}")
