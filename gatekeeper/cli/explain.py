"""`gatekeeper explain`: which rule decides about an address, and what the application would be told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import click

from gatekeeper.accounts.rows import read_user
from gatekeeper.build import make_gate_config, make_identity_names
from gatekeeper.cli.common import config_option, json_option, settings_from, with_database
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.explain import Explanation
from gatekeeper.core.explain import explain as retrace
from gatekeeper.core.identity import header_maker
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.core.target import parse_target
from gatekeeper.core.users import login_key
from gatekeeper.gate.config import GateConfig
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


@click.command()
@click.argument("url")
@click.option("--user", "login", help="Ask for this account; left out: for somebody not signed in.")
@click.option("--method", default="GET", show_default=True, help="The HTTP method.")
@config_option
@json_option
def explain(url: str, login: str | None, method: str, config: Path, as_json: bool) -> None:
    """Say which rule decides about URL (a path, or a whole address), the answer, and the identity headers."""
    settings = settings_from(config)
    gate_config = make_gate_config(settings)
    facts = _facts(url, method.upper(), settings, gate_config)
    session = None
    if login is not None:
        user = with_database(config, lambda _, db: _find(db, login))
        if user is None:
            raise click.ClickException(f"there is no account {login!r}; gatekeeper user list shows them")
        session = _session(user, settings)
    found = retrace(
        gate_config.policy, facts, None if session is None or session.user.disabled else session, time.time()
    )
    if session is not None and session.user.disabled:
        found = found._replace(answer=f"{login} is disabled and cannot sign in; without them: {found.answer}")
    _print(found, facts, as_json=as_json)


async def _find(db: Database, login: str) -> UserRecord | None:
    async with db.read() as conn:
        return await read_user(conn, key=login_key(login))


def _facts(url: str, method: str, settings: Settings, config: GateConfig) -> Facts:
    if url.startswith("/"):
        host: str | None = settings.public_host
        path, _, query = url.partition("?")
    else:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise click.BadParameter("must be a path (/orders) or an address (https://…/orders)")
        host = config.hosts.find(parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii"))
        path, query = parts.path or "/", parts.query
    if host is None:
        raise click.ClickException(
            f"answered 421 before any rule: the host is not that of public_url ({settings.public_url})"
        )
    try:
        target = parse_target(path.encode("utf-8"), query.encode("utf-8"), config.leniency)
    except RequestRejected as error:
        raise click.ClickException(
            f"answered {error.status} before any rule: {error.reason.replace('_', ' ')}"
        ) from error
    return Facts(method, settings.public_scheme, host, target, "", Kind.NAVIGATION)


def _session(user: UserRecord, settings: Settings) -> Session:
    """A complete session of `user`, as it would be right after signing in."""
    now = time.time()
    record = SessionRecord(bytes(32), user.id, user.session_epoch, now, now, False, "pwd", now, 0.0, "", "")
    return Session(record, user, "", header_maker(make_identity_names(settings))(user))


def _print(found: Explanation, facts: Facts, *, as_json: bool) -> None:
    headers = {name.decode("ascii"): value.decode("utf-8") for name, value in found.headers}
    if as_json:
        content = {
            "method": facts.method,
            "path": facts.target.path,
            "readings": list(facts.target.readings),
            "outcome": found.decision.outcome.name.lower(),
            "rule": found.decision.rule,
            "answer": found.answer,
            "rules": [verdict._asdict() for verdict in found.verdicts],
            "headers": headers,
        }
        click.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    click.echo(f"{facts.method} {facts.target.path}")
    for verdict in found.verdicts:
        mark = "→" if verdict.hit else " "
        reading = f" (read as {verdict.path})" if len(facts.target.readings) > 1 else ""
        click.echo(f"  {mark} rules[{verdict.number}] {verdict.rule}: {verdict.why}{reading}")
    click.echo(f"Answer: {found.answer}")
    for name, value in headers.items():
        click.echo(f"  {name}: {value}")
