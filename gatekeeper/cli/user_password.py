"""`gatekeeper user reset-password`, `invite`, `due`: passwords that others hand out, and when they end."""

from __future__ import annotations

import math
import time
from pathlib import Path

import click

from gatekeeper.accounts.expiry import Due
from gatekeeper.cli.accounts import Accounts, existing, with_accounts
from gatekeeper.cli.common import config_option, json_option, operator, print_json, print_table, when
from gatekeeper.core.session import UserRecord

_WHY = {
    "first_logon": "first password",
    "reset": "reset by an administrator",
    "expired": "expired",
    "unused": "not used for long",
}


@click.command("reset-password")
@click.argument("login")
@click.option("--mail", is_flag=True, help="Mail the password to LOGIN instead of printing it.")
@config_option
@json_option
def reset_password(login: str, mail: bool, config: Path, as_json: bool) -> None:
    """Give LOGIN a generated password, which must be changed at the next sign-in.

    Unlocks the account and ends all its sessions. The password is mailed, or printed once.
    """

    async def work(accounts: Accounts) -> tuple[UserRecord, str]:
        user = await existing(accounts.users, login)
        return user, await accounts.changes.generate(user.id, by=operator(), mail=mail)

    user, password = with_accounts(config, work)
    if as_json:
        shown = {} if mail else {"password": password}
        print_json({"id": user.id, "login": user.login, "mailed_to": user.email if mail else None, **shown})
    elif mail:
        click.echo(f"Password of {user.login} reset; a generated one is on its way to {user.email}.")
    else:
        click.echo(f"Password of {user.login} reset. It is shown this once, and must be changed at sign-in:")
        click.echo(password)


@click.command()
@click.argument("login")
@config_option
@json_option
def invite(login: str, config: Path, as_json: bool) -> None:
    """Mail an invitation to LOGIN, who has not signed in yet; an earlier one stops working.

    What is in it, the configuration says: password.invitation.
    """

    async def work(accounts: Accounts) -> UserRecord:
        user = await existing(accounts.users, login)
        await send_invitation(accounts, user)
        return user

    user = with_accounts(config, work)
    if as_json:
        print_json({"id": user.id, "login": user.login, "mailed_to": user.email})
    else:
        click.echo(f"Invited {user.login}: the mail is on its way to {user.email}.")


@click.command()
@config_option
@json_option
def due(config: Path, as_json: bool) -> None:
    """List whose password must change when, and when they are reminded; the first first."""

    async def work(accounts: Accounts) -> list[Due]:
        return [each for each in await accounts.expiry.list() if each.at < math.inf]

    listed = with_accounts(config, work)
    if as_json:
        print_json([_as_json(each) for each in listed])
    else:
        now = time.time()
        print_table(("LOGIN", "DUE", "WHY", "REMINDER"), [_as_row(each, now) for each in listed])


async def send_invitation(accounts: Accounts, user: UserRecord) -> None:
    """As `password.invitation` says. Raises as `Invitations.invite`."""
    with_password = accounts.settings.password.invitation == "password"
    await accounts.invitations.invite(user.id, by=operator(), password=with_password)


def _as_json(each: Due) -> dict[str, object]:
    return {
        "login": each.user.login,
        "email": each.user.email,
        "must_change": each.must_change,
        "due_at": when(each.at) if each.at else None,
        "expires_at": when(each.expires_at),
        "unused_at": when(each.unused_at),
        "remind_at": when(each.remind_at),
        "reminded_at": when(each.reminded_at),
    }


def _as_row(each: Due, now: float) -> tuple[str, ...]:
    why = _WHY.get(each.must_change) or ("expires" if each.at == each.expires_at else "unused by then")
    if each.reminded_at is not None:
        reminder = f"sent {when(each.reminded_at)}"
    else:
        reminder = when(each.remind_at) or ("no address" if not each.user.email else "none")
    return (each.user.login, "now" if each.at <= now else when(each.at) or "", why, reminder)
