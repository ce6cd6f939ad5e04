"""`gatekeeper keys …`: what signs the assertions that applications verify."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gatekeeper.assertions.endpoint import MAX_AGE
from gatekeeper.assertions.keys import REFRESH, SigningKeys
from gatekeeper.assertions.schedule import StoredKey
from gatekeeper.build.assertions import make_signing_keys
from gatekeeper.cli.common import (
    audit_log,
    config_option,
    json_option,
    operator,
    print_json,
    print_table,
    when,
    with_database,
)
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


@click.group()
def keys() -> None:
    """The keys that sign assertions (docs/assertion.md). The public ones are at /_gate/jwks.json."""


@keys.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """Show the published keys, the oldest first."""
    rows = with_database(config, _list)
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There is no key yet: the first one is made when the server starts.")
        return
    head = ("KEY", "STATE", "MADE", "SIGNS FROM", "WITHDRAWN")
    print_table(
        head,
        [
            (
                str(row["kid"]),
                str(row["state"]),
                row["created_at"] or "",
                row["signs_from"] or "",
                row["retires_at"] or "-",
            )
            for row in rows
        ],
    )


async def _list(settings: Settings, db: Database) -> list[dict[str, str | None]]:
    found = await _keys(settings, db)
    await found.look()
    now = time.time()
    return [
        {
            "kid": key.kid,
            "state": _state(key, found, now),
            "created_at": when(key.created_at),
            "signs_from": when(key.signs_from),
            "retires_at": when(key.retires_at),
        }
        for key in found.stored()
    ]


def _state(key: StoredKey, found: SigningKeys, now: float) -> str:
    if not found.usable(key.kid):
        return "unusable"  # none of the configured secrets opens it
    if found.current(now).kid == key.kid:
        return "signing"
    return "next" if key.signs_from > now else "previous"


@keys.command()
@config_option
@click.option(
    "--now",
    "at_once",
    is_flag=True,
    help="Sign with the new key at once and withdraw all others: for when somebody else may have a key.",
)
def rotate(config: Path, at_once: bool) -> None:
    """Make the next key. It is published at once, and signs after a day, when every application knows it."""

    async def work(settings: Settings, db: Database) -> StoredKey | None:
        found = await _keys(settings, db)
        return await found.add(operator(), forced=True, withdraw=at_once)

    made = with_database(config, work)
    if made is None:
        raise click.ClickException("the next key waits to sign already: see `gatekeeper keys list`")
    if at_once:
        click.echo(
            f"{made.kid} signs within {REFRESH:.0f} seconds in every process; all others are withdrawn. "
            f"Applications that keep a copy of the keys believe withdrawn ones until it is renewed: restart "
            f"those that keep one longer than the {MAX_AGE} seconds that they are told."
        )
    else:
        click.echo(f"{made.kid} is published, and signs from {when(made.signs_from)}.")


async def _keys(settings: Settings, db: Database) -> SigningKeys:
    if not settings.identity.assertion.header:
        raise click.ClickException('identity.assertion.header is "": there are no assertions to sign')
    if not settings.secrets:
        raise click.ClickException("there is no secret yet: it is made at the first start")
    return make_signing_keys(settings, db, audit_log(db, time.time), time.time)
