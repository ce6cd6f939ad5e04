"""`gatekeeper user reset-2fa` and `require-2fa`: second factors from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import click

from gatekeeper.accounts import fields, rows
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.second_factor_reset import SecondFactorReset
from gatekeeper.build.mail import make_outbox
from gatekeeper.cli.common import audit_log, config_option, operator, with_database
from gatekeeper.core.session import UserRecord
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


class _Done(NamedTuple):
    user: UserRecord
    changed: bool
    mode: str


@click.command("reset-2fa")
@click.argument("login")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def reset_2fa(login: str, yes: bool, config: Path) -> None:
    """Take LOGIN's second factor away, with recovery codes and trusted browsers; ends all its sessions.

    For somebody who lost the phone and the codes: make sure that it is they who ask. Their password alone
    then opens the account, until they set up another one. Asks first when there is a terminal.
    """

    async def work(reset: SecondFactorReset, user: UserRecord) -> bool:
        if not yes and sys.stdin.isatty():
            click.confirm(f"Take the second factor of {user.login} away?", abort=True)
        return await reset.reset(user.id, operator())

    done = _run(login, config, work)
    if done.changed:
        click.echo(f"Second factor of {done.user.login} removed; its sessions have ended.")
    else:
        click.echo(f"{done.user.login} has no second factor.")


@click.command("require-2fa")
@click.argument("login")
@click.option("--off", is_flag=True, help="Leave it to the configuration again.")
@config_option
def require_2fa(login: str, off: bool, config: Path) -> None:
    """Make a second factor mandatory for LOGIN.

    Whoever has none is led to setting one up, in open sessions at the next page.
    """

    async def work(reset: SecondFactorReset, user: UserRecord) -> bool:
        return await reset.require(user.id, not off, operator())

    done = _run(login, config, work)
    adverb = "now" if done.changed else "already"
    if off:
        click.echo(f"Whether {done.user.login} needs a second factor is {adverb} left to the configuration.")
    else:
        click.echo(f"A second factor is {adverb} mandatory for {done.user.login}.")
        if done.mode == "off":
            click.echo("It has no effect yet: the configuration says two_factor.mode: off.", err=True)


def _run(
    login: str, config: Path, work: Callable[[SecondFactorReset, UserRecord], Coroutine[Any, Any, bool]]
) -> _Done:
    async def opened(settings: Settings, db: Database) -> _Done:
        outbox = make_outbox(settings, db, time.time)
        reset = SecondFactorReset(db, outbox, audit_log(db, time.time), time.time)
        key = fields.lookup_key(login)
        async with db.read() as conn:
            user = None if key is None else await rows.read_user(conn, key=key)
        if user is None:
            raise AccountError("unknown_user", f"there is no account {login}")
        return _Done(user, await work(reset, user), settings.two_factor.mode)

    return with_database(config, opened, secret=True)
