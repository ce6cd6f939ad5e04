"""`gatekeeper user unlock`: open a locked account."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gatekeeper.accounts import fields, lockout, rows
from gatekeeper.accounts.errors import AccountError
from gatekeeper.cli.common import audit_log, config_option, operator, with_database
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


@click.command()
@click.argument("login")
@config_option
def unlock(login: str, config: Path) -> None:
    """Open LOGIN to sign-in again after too many wrong passwords or codes."""

    async def work(_settings: Settings, db: Database) -> tuple[str, bool]:
        audit = audit_log(db, time.time)
        async with db.begin() as conn:
            found = await rows.read_user(conn, key=fields.lookup_key(login) or "")
            if found is None:
                raise AccountError("unknown_user", f"there is no account {login}")
            return found.login, await lockout.unlock(conn, found.id, operator(), audit)

    found, was_locked = with_database(config, work)
    click.echo(f"{found} is unlocked." if was_locked else f"{found} was not locked.")
