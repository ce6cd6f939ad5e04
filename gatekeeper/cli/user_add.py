"""`gatekeeper user add`: a new account, and what the other commands on accounts say and ask as well."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gatekeeper.accounts.errors import AccountError
from gatekeeper.cli.accounts import Accounts, with_accounts
from gatekeeper.cli.common import config_option, json_option, operator, print_json
from gatekeeper.cli.user_password import send_invitation
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import Why

_GENERATE = "\0"
"""Stands for --first-password without PW; no argument of a command can be this."""

password_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


@click.command()
@click.argument("login")
@click.option("--email", default="", help="Where mail to this person goes.")
@click.option("--name", default="", help="The person's name, as the application shows it.")
@click.option("--role", "roles", multiple=True, help="A role; may be given several times.")
@click.option(
    "--first-password",
    metavar="[PW]",
    is_flag=False,
    flag_value=_GENERATE,
    help="A password to be changed at the first sign-in. Without PW one is generated and printed once. "
    "Others on this machine can see PW while the command runs: with --password-stdin it is read instead.",
)
@click.option(
    "--invite", "invited", is_flag=True, help="Mail an invitation, as password.invitation says, instead."
)
@click.option(
    "--no-password", "elsewhere", is_flag=True, help="Somebody who signs in at an identity provider alone."
)
@password_stdin_option
@config_option
@json_option
def add(
    login: str,
    email: str,
    name: str,
    roles: tuple[str, ...],
    first_password: str | None,
    invited: bool,
    elsewhere: bool,
    password_stdin: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Add the account LOGIN, with a password that its owner chose unless an option says otherwise."""
    if invited and (first_password is not None or password_stdin):
        raise click.UsageError("--invite goes without a password: password.invitation says what is mailed")
    if elsewhere and (invited or first_password is not None or password_stdin):
        raise click.UsageError("--no-password goes without the ways to a password")
    if password_stdin and first_password not in (None, _GENERATE):
        raise click.UsageError("--password-stdin with --first-password goes without PW")
    generates = first_password == _GENERATE and not password_stdin

    async def work(accounts: Accounts) -> tuple[UserRecord, str]:
        users = accounts.users
        if await users.find(login) is not None:
            raise AccountError("login_taken", f"there is an account {login} already")
        if invited:
            accounts.invitations.check(UserRecord(0, login, name, email, roles, False, 0))
        password: str | None = None
        if generates:
            password = await users.generate(login, name=name, email=email, roles=roles)
        elif not (invited or elsewhere):
            password = (
                read_password(password_stdin) if first_password in (None, _GENERATE) else first_password
            )
        added = await users.add(
            login,
            name=name,
            email=email,
            roles=roles,
            password=password,
            must_change="" if first_password is None else Why.FIRST_LOGON,
            by=operator(),
        )
        if invited:
            await send_invitation(accounts, added)
        return added, password if generates and password else ""

    added, generated = with_accounts(config, work, create=True)
    shown = {"first_password": generated} if generated else {}
    say(added, "Invited" if invited else "Added", as_json, **shown)
    if generated and not as_json:
        click.echo("The first password is shown this once, and must be changed at the first sign-in:")
        click.echo(generated)


def read_password(from_stdin: bool) -> str:
    """The password, from standard input or asked twice on the terminal; never an argument or echoed."""
    if from_stdin:
        try:
            text = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise click.ClickException("the password on standard input is not UTF-8") from error
        return text.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password on: use --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Password again")
    return password


def say(record: UserRecord, done: str, as_json: bool, **more: str) -> None:
    """Tell what was done with an account."""
    if as_json:
        print_json({**user_json(record), **more})
    else:
        with_roles = f" with roles {', '.join(record.roles)}" if record.roles else " without roles"
        click.echo(f"{done} {record.login}{with_roles}.")


def user_json(record: UserRecord) -> dict[str, object]:
    """An account as `--json` prints it."""
    return {
        "id": record.id,
        "login": record.login,
        "name": record.name,
        "email": record.email,
        "roles": list(record.roles),
        "disabled": record.disabled,
    }
