"""`gatekeeper user unlink`: accounts and the identity providers that vouch for their owners."""

from __future__ import annotations

import time
from pathlib import Path

import click
import sqlalchemy as sa

from gatekeeper.accounts import federation, fields, rows
from gatekeeper.accounts.errors import AccountError
from gatekeeper.cli.common import audit_log, config_option, operator, with_database
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database
from gatekeeper.storage.tables import identities


@click.command()
@click.argument("login")
@click.option("--provider", required=True, help="`microsoft`, or the name of an entry of `oidc`.")
@config_option
def unlink(login: str, provider: str, config: Path) -> None:
    """Forget whom PROVIDER knows as LOGIN; ends the account's sessions.

    An account is bound to one person of a provider at the first sign-in, for good: somebody who is given the
    same user name there later is refused. This lets the next person of that name in.
    """

    async def work(_settings: Settings, db: Database) -> tuple[str, str | None, list[str]]:
        audit = audit_log(db, time.time)
        async with db.begin() as conn:
            found = await rows.read_user(conn, key=fields.lookup_key(login) or "", lock=True)
            if found is None:
                raise AccountError("unknown_user", f"there is no account {login}")
            subject = await federation.unlink(
                conn, found, provider, by=operator(), audit=audit, now=time.time()
            )
            others = await conn.scalars(
                sa.select(identities.c.provider)
                .where(identities.c.user_id == found.id)
                .order_by(identities.c.provider)
            )
            return found.login, subject, list(others)

    found, subject, others = with_database(config, work)
    if subject is not None:
        click.echo(f"{found} is no longer bound to {subject} of {provider}; its sessions have ended.")
    elif others:
        click.echo(f"{found} is not bound to anybody of {provider}, but of: {', '.join(others)}.")
    else:
        click.echo(f"{found} is not bound to anybody of {provider}.")
