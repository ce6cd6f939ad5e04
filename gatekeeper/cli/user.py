"""`gatekeeper user …`: accounts from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.hashing import PasswordHasher
from gatekeeper.accounts.rows import Account
from gatekeeper.accounts.users import Users
from gatekeeper.build_passwords import make_password_policy
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
from gatekeeper.cli.user_second_factor import require_2fa, reset_2fa
from gatekeeper.core.session import UserRecord
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database

T = TypeVar("T")

password_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


@click.group()
def user() -> None:
    """Add, change and list accounts."""


user.add_command(reset_2fa)
user.add_command(require_2fa)


@user.command()
@click.argument("login")
@click.option("--email", default="", help="Where mail to this person goes.")
@click.option("--name", default="", help="The person's name, as the application shows it.")
@click.option("--role", "roles", multiple=True, help="A role; may be given several times.")
@password_stdin_option
@config_option
@json_option
def add(
    login: str,
    email: str,
    name: str,
    roles: tuple[str, ...],
    password_stdin: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Add the account LOGIN."""

    async def work(users: Users) -> UserRecord:
        if await users.find(login) is not None:
            raise AccountError("login_taken", f"there is an account {login} already")
        password = _password(password_stdin)
        return await users.add(login, name=name, email=email, roles=roles, password=password, by=operator())

    _say(_run(config, work), "Added", as_json)


@user.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List all accounts."""
    accounts = _run(config, lambda users: users.list())
    if as_json:
        print_json([_as_json(account) for account in accounts])
    else:
        print_table(
            ("LOGIN", "NAME", "EMAIL", "ROLES", "STATE", "LAST SIGN-IN"),
            [_as_row(account) for account in accounts],
        )


@user.command()
@click.argument("login")
@password_stdin_option
@config_option
def passwd(login: str, password_stdin: bool, config: Path) -> None:
    """Set another password for LOGIN; ends all its sessions."""

    async def work(users: Users) -> UserRecord:
        found = await _found(users, login)
        await users.set_password(found.id, _password(password_stdin), by=operator())
        return found

    found = _run(config, work)
    click.echo(f"Password of {found.login} changed; its sessions have ended.")


@user.command()
@click.argument("login")
@config_option
def disable(login: str, config: Path) -> None:
    """Refuse sign-in to LOGIN and end all its sessions."""
    _switch(login, config, disabled=True)


@user.command()
@click.argument("login")
@config_option
def enable(login: str, config: Path) -> None:
    """Allow LOGIN to sign in again."""
    _switch(login, config, disabled=False)


@user.command()
@click.argument("login")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
def delete(login: str, yes: bool, config: Path) -> None:
    """Delete LOGIN and end all its sessions. Asks first when there is a terminal."""

    async def work(users: Users) -> UserRecord:
        found = await _found(users, login)
        if not yes and sys.stdin.isatty():
            click.confirm(f"Delete {found.login} for ever?", abort=True)
        await users.delete(found.id, by=operator())
        return found

    click.echo(f"Deleted {_run(config, work).login}.")


@user.group()
def roles() -> None:
    """Change the roles of an account."""


@roles.command("set")
@click.argument("login")
@click.argument("roles", nargs=-1)
@config_option
@json_option
def set_(login: str, roles: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Give LOGIN exactly these ROLES; none takes all away."""

    async def work(users: Users) -> UserRecord:
        found = await _found(users, login)
        return found._replace(roles=await users.set_roles(found.id, roles, by=operator()))

    _say(_run(config, work), "Changed", as_json)


@roles.command("add")
@click.argument("login")
@click.argument("roles", nargs=-1, required=True)
@config_option
@json_option
def add_roles(login: str, roles: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Give LOGIN these ROLES too."""
    _change_roles(login, config, as_json, add=roles)


@roles.command("remove")
@click.argument("login")
@click.argument("roles", nargs=-1, required=True)
@config_option
@json_option
def remove_roles(login: str, roles: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Take these ROLES from LOGIN."""
    _change_roles(login, config, as_json, remove=roles)


def _change_roles(
    login: str,
    config: Path,
    as_json: bool,
    *,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
) -> None:
    async def work(users: Users) -> UserRecord:
        found = await _found(users, login)
        now = await users.change_roles(found.id, add=add, remove=remove, by=operator())
        return found._replace(roles=now)

    _say(_run(config, work), "Changed", as_json)


def _switch(login: str, config: Path, *, disabled: bool) -> None:
    async def work(users: Users) -> tuple[UserRecord, bool]:
        found = await _found(users, login)
        return found, await users.set_disabled(found.id, disabled, by=operator())

    found, changed = _run(config, work)
    state = "disabled" if disabled else "enabled"
    click.echo(f"{found.login} is {'now' if changed else 'already'} {state}.")


def _run(config: Path, work: Callable[[Users], Coroutine[Any, Any, T]]) -> T:
    async def with_users(settings: Settings, db: Database) -> T:
        hasher = PasswordHasher()
        try:
            policy = make_password_policy(settings)
            users = Users(db, hasher, audit_log(db, time.time), time.time, policy=policy)
            return await work(users)
        finally:
            hasher.close()

    return with_database(config, with_users)


async def _found(users: Users, login: str) -> UserRecord:
    found = await users.find(login)
    if found is None:
        raise AccountError("unknown_user", f"there is no account {login}")
    return found


def _password(from_stdin: bool) -> str:
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


def _say(record: UserRecord, done: str, as_json: bool) -> None:
    if as_json:
        print_json(_user_json(record))
    else:
        with_roles = f" with roles {', '.join(record.roles)}" if record.roles else " without roles"
        click.echo(f"{done} {record.login}{with_roles}.")


def _user_json(record: UserRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "login": record.login,
        "name": record.name,
        "email": record.email,
        "roles": list(record.roles),
        "disabled": record.disabled,
    }


def _as_json(account: Account) -> dict[str, object]:
    return {
        **_user_json(account.user),
        "has_password": account.has_password,
        "created_at": when(account.created_at),
        "password_changed_at": when(account.password_changed_at),
        "last_sign_in_at": when(account.last_sign_in_at),
    }


def _as_row(account: Account) -> tuple[str, ...]:
    state = "disabled" if account.user.disabled else "active" if account.has_password else "no password"
    return (
        account.user.login,
        account.user.name,
        account.user.email,
        ",".join(account.user.roles),
        state,
        when(account.last_sign_in_at) or "never",
    )
