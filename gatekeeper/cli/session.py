"""`gatekeeper session …`: who is signed in, and ending it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from gatekeeper.accounts import rows
from gatekeeper.accounts.steps import make_next_step
from gatekeeper.audit.events import EventKind
from gatekeeper.audit.log import AuditLog
from gatekeeper.build.passwords import make_step_policy
from gatekeeper.build.sessions import close_session_store, make_session_store
from gatekeeper.build.values import make_timeouts
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
from gatekeeper.core.protocols import SessionStore
from gatekeeper.core.session import EndReason, SessionRecord, Timeouts, UserRecord, ended
from gatekeeper.core.users import login_key
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database

T = TypeVar("T")

SHORTEST_PREFIX = 6


class _Tools(NamedTuple):
    db: Database
    store: SessionStore
    audit: AuditLog
    timeouts: Timeouts
    next_step: Callable[[SessionRecord, UserRecord], str]


class _Listed(NamedTuple):
    record: SessionRecord
    login: str
    step: str
    """What the person has still to do before anybody is signed in; "" when that is done."""


@click.group()
def session() -> None:
    """List and end sessions."""


@session.command("list")
@click.option("--user", "login", help="Only the sessions of this account.")
@config_option
@json_option
def list_(login: str | None, config: Path, as_json: bool) -> None:
    """List the sessions that are alive, the last active first."""

    async def work(tools: _Tools) -> list[_Listed]:
        found = None if login is None else await _account(tools.db, login)
        return await _alive(tools, found.id if found else None)

    listed = _run(config, work)
    if as_json:
        print_json([_as_json(entry) for entry in listed])
    else:
        print_table(
            ("ID", "LOGIN", "SINCE", "LAST SEEN", "PROVED", "CLIENT", "BROWSER"),
            [_as_row(entry) for entry in listed],
        )


@session.command()
@click.option("--user", "login", help="End all sessions of this account.")
@click.option("--id", "prefix", help="End the session whose ID begins like this.")
@click.option("--all", "everybody", is_flag=True, help="End all sessions of everybody.")
@config_option
@json_option
def revoke(login: str | None, prefix: str | None, everybody: bool, config: Path, as_json: bool) -> None:
    """End sessions; every Gatekeeper process refuses them within a second."""
    if sum((login is not None, prefix is not None, everybody)) != 1:
        raise click.UsageError("give one of --user, --id and --all")

    async def work(tools: _Tools) -> int:
        if login is not None:
            return await _end_user(tools, await _account(tools.db, login))
        if prefix is not None:
            return await _end_one(tools, prefix)
        return await _end_everybody(tools)

    number = _run(config, work)
    if as_json:
        print_json({"ended": number})
    else:
        click.echo(f"{number} session{'' if number == 1 else 's'} ended.")


def _run(config: Path, work: Callable[[_Tools], Coroutine[Any, Any, T]]) -> T:
    async def with_tools(settings: Settings, db: Database) -> T:
        next_step = make_next_step(make_step_policy(settings))
        store = make_session_store(settings, db)
        tools = _Tools(db, store, audit_log(db, time.time), make_timeouts(settings), next_step)
        try:
            return await work(tools)
        finally:
            await close_session_store(store)

    return with_database(config, with_tools)


async def _account(db: Database, login: str) -> UserRecord:
    async with db.read() as conn:
        found = await rows.read_user(conn, key=login_key(login))
    if found is None:
        raise click.ClickException(f"there is no account {login}")
    return found


async def _user(db: Database, user_id: int) -> UserRecord | None:
    async with db.read() as conn:
        return await rows.read_user(conn, user_id=user_id)


def _login_of(user: UserRecord | None, user_id: int) -> str:
    return user.login if user else f"(deleted, id {user_id})"


async def _alive(tools: _Tools, user_id: int | None = None) -> list[_Listed]:
    now = time.time()
    users: dict[int, UserRecord | None] = {}
    alive = []
    for record in await tools.store.list(user_id):
        if record.user_id not in users:
            users[record.user_id] = await _user(tools.db, record.user_id)
        user = users[record.user_id]
        step = "" if user is None else tools.next_step(record, user)
        if ended(record, tools.timeouts, now, complete=not step) is None:
            alive.append(_Listed(record, _login_of(user, record.user_id), step))
    return alive


async def _end_user(tools: _Tools, user: UserRecord) -> int:
    # Also when none is listed: a session that was restored from somewhere is revoked by the epoch.
    number = await tools.store.end_user(user.id, EndReason.REVOKED, time.time())
    await _record(tools, user.id, user.login, number)
    return number


async def _end_one(tools: _Tools, prefix: str) -> int:
    wanted = prefix.lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", wanted):
        raise click.UsageError(
            f"--id takes at least {SHORTEST_PREFIX} of the digits that `session list` shows"
        )
    matching = [entry for entry in await _alive(tools) if entry.record.key.hex().startswith(wanted)]
    if not matching:
        raise click.ClickException(f"no session that is alive has an ID beginning with {wanted}")
    if len(matching) > 1:
        raise click.ClickException(
            f"{len(matching)} sessions have an ID beginning with {wanted}: give more of it"
        )
    record, login, _ = matching[0]
    number = int(await tools.store.end(record.key, EndReason.REVOKED, time.time()))
    await _record(tools, record.user_id, login, number)
    return number


async def _end_everybody(tools: _Tools) -> int:
    number = 0
    for user_id in sorted({record.user_id for record in await tools.store.list()}):
        ended_now = await tools.store.end_user(user_id, EndReason.REVOKED, time.time())
        await _record(tools, user_id, _login_of(await _user(tools.db, user_id), user_id), ended_now)
        number += ended_now
    return number


async def _record(tools: _Tools, user_id: int, login: str, number: int) -> None:
    await tools.audit.record(
        EventKind.SESSION_REVOKED,
        user_id=user_id,
        login=login,
        actor=operator().actor,
        details={"sessions": number},
    )


def _as_json(entry: _Listed) -> dict[str, object]:
    record, login, step = entry
    return {
        "id": record.public_id,
        "user_id": record.user_id,
        "login": login,
        "created_at": when(record.created_at),
        "last_seen_at": when(record.last_seen_at),
        "remembered": record.remembered,
        "methods": record.methods.split(),
        "step": step,
        "client": record.client,
        "user_agent": record.user_agent,
    }


def _as_row(entry: _Listed) -> tuple[str, ...]:
    record, login, step = entry
    # The browser's name comes from outside: no control character of it may reach the terminal.
    browser = "".join(letter if letter.isprintable() else "?" for letter in record.user_agent[:40])
    return (
        record.public_id,
        login,
        when(record.created_at) or "",
        when(record.last_seen_at) or "",
        f"{record.methods} (half-finished: {step})" if step else record.methods,
        record.client,
        browser,
    )
