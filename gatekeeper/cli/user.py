"""`gatekeeper user …`: accounts from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from gatekeeper.accounts.rows import Account
from gatekeeper.accounts.users import Users
from gatekeeper.build.passwords import make_step_policy
from gatekeeper.cli.accounts import Accounts, existing, with_accounts
from gatekeeper.cli.common import (
    config_option,
    json_option,
    operator,
    print_json,
    print_table,
    when,
)
from gatekeeper.cli.user_add import add, password_stdin_option, read_password, say, user_json
from gatekeeper.cli.user_identity import unlink
from gatekeeper.cli.user_password import due, invite, reset_password
from gatekeeper.cli.user_second_factor import require_2fa, reset_2fa
from gatekeeper.cli.user_unlock import unlock
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import must_set_up
from gatekeeper.settings import Settings

T = TypeVar("T")


@click.group()
def user() -> None:
    """Add, change and list accounts."""


user.add_command(reset_2fa)
user.add_command(require_2fa)


user.add_command(unlock)
user.add_command(unlink)


for _command in (add, reset_password, invite, due):
    user.add_command(_command)


@user.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List all accounts."""

    async def work(accounts: Accounts) -> list[_Listed]:
        return [_listed(account, accounts.settings, time.time()) for account in await accounts.users.list()]

    listed = with_accounts(config, work)
    if as_json:
        print_json([_as_json(each) for each in listed])
    else:
        print_table(
            ("LOGIN", "NAME", "EMAIL", "ROLES", "STATE", "2FA", "LAST SIGN-IN"),
            [_as_row(each) for each in listed],
        )


@user.command()
@click.argument("login")
@password_stdin_option
@config_option
def passwd(login: str, password_stdin: bool, config: Path) -> None:
    """Set another password for LOGIN; ends all its sessions."""

    async def work(users: Users) -> UserRecord:
        found = await existing(users, login)
        await users.set_password(found.id, read_password(password_stdin), by=operator())
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
        found = await existing(users, login)
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
        found = await existing(users, login)
        return found._replace(roles=await users.set_roles(found.id, roles, by=operator()))

    say(_run(config, work), "Changed", as_json)


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
        found = await existing(users, login)
        now = await users.change_roles(found.id, add=add, remove=remove, by=operator())
        return found._replace(roles=now)

    say(_run(config, work), "Changed", as_json)


def _switch(login: str, config: Path, *, disabled: bool) -> None:
    async def work(users: Users) -> tuple[UserRecord, bool]:
        found = await existing(users, login)
        return found, await users.set_disabled(found.id, disabled, by=operator())

    found, changed = _run(config, work)
    state = "disabled" if disabled else "enabled"
    click.echo(f"{found.login} is {'now' if changed else 'already'} {state}.")


def _run(config: Path, work: Callable[[Users], Coroutine[Any, Any, T]]) -> T:
    return with_accounts(config, lambda accounts: work(accounts.users))


class _Listed(NamedTuple):
    """An account, and what the configuration makes of it."""

    account: Account
    locked_at: float | None
    """Seconds since the epoch; None for an account that is not locked any more."""
    second_factor_required: bool


def _listed(account: Account, settings: Settings, now: float) -> _Listed:
    lasts = settings.lockout.unlock_seconds
    over = account.locked_at is None or (lasts is not None and account.locked_at <= now - lasts)
    bare = account.user._replace(second_factor=False)
    return _Listed(
        account, None if over else account.locked_at, must_set_up(bare, make_step_policy(settings))
    )


def _as_json(listed: _Listed) -> dict[str, object]:
    account = listed.account
    return {
        **user_json(account.user),
        "has_password": account.has_password,
        "locked_at": when(listed.locked_at),
        "second_factor": account.user.second_factor,
        "second_factor_required": listed.second_factor_required,
        "created_at": when(account.created_at),
        "password_changed_at": when(account.password_changed_at),
        "last_sign_in_at": when(account.last_sign_in_at),
    }


def _as_row(listed: _Listed) -> tuple[str, ...]:
    account = listed.account
    if account.user.disabled:
        state = "disabled"
    elif listed.locked_at is not None:
        state = "locked"
    else:
        state = "active" if account.has_password else "no password"
    second_factor = "required" if listed.second_factor_required else "off"
    return (
        account.user.login,
        account.user.name,
        account.user.email,
        ",".join(account.user.roles),
        state,
        "on" if account.user.second_factor else second_factor,
        when(account.last_sign_in_at) or "never",
    )
