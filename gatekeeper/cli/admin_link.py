"""`gatekeeper admin-link`: how the first administrator of an installation gets in."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.accounts.admin_link import LIFETIME, ROLE
from gatekeeper.build.services import Services
from gatekeeper.cli.common import config_option, with_database
from gatekeeper.core.clock import SteadyClock
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


@click.command("admin-link")
@config_option
def admin_link(config: Path) -> None:
    """Print a one-time link with which the first administrator makes an account.

    There is one link for an installation, however many processes and nodes it has: a newer one replaces the
    older, and once one was used there is none any more. `gatekeeper user add` makes accounts then.
    """

    async def work(settings: Settings, _: Database) -> str | None:
        token = await issue_link(settings)
        return None if token is None else f"{settings.public_url}{settings.prefix}/setup#{token}"

    link = with_database(config, work, create=True)
    if link is None:
        raise click.ClickException(
            f"the link was used already; gatekeeper user add LOGIN --role {ROLE} makes another administrator"
        )
    click.echo(link)
    click.echo(f"It works once, for {LIFETIME / 3600:.0f} hours. Send it to nobody else.", err=True)


async def issue_link(settings: Settings) -> str | None:
    """The token of a new one-time link; None when an administrator was made already. StoreUnavailable."""
    services = Services(settings, SteadyClock())
    try:
        await services.db.open()
        try:
            return await services.admin_link.issue()
        finally:
            await services.db.close()
    finally:
        services.hasher.close()
