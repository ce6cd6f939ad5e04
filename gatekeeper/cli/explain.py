"""`gatekeeper explain`: which rule decides about an address, and what the application would be told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, urlsplit

import click

from gatekeeper.accounts.rows import read_user
from gatekeeper.build.gate import make_gate_config
from gatekeeper.build.values import make_identity_names
from gatekeeper.cli.access_lines import LoggedRequest, find_request
from gatekeeper.cli.common import config_option, json_option, settings_from, with_database
from gatekeeper.core.applications import Application
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.explain import Explanation
from gatekeeper.core.explain import explain as retrace
from gatekeeper.core.hosts import parse_address
from gatekeeper.core.identity import header_maker
from gatekeeper.core.policy import Outcome
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.core.users import login_key
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.shell import CHANGE_PASSWORD
from gatekeeper.settings import Settings
from gatekeeper.settings.units import parse_duration
from gatekeeper.storage.engine import Database

_NEVER = "never"


def _check_proof(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Seconds since the proof; negative for never."""
    if text is None:
        return None
    if text == _NEVER:
        return -1.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, or {_NEVER}") from error


def _check_ip(_context: click.Context, _option: click.Parameter, text: str) -> str:
    address = parse_address(text) if text else None
    if text and address is None:
        raise click.BadParameter(f"{text} is not an IP address")
    return str(address or "")


@click.command()
@click.argument("url", required=False)
@click.option("--user", "login", help="Ask for this account; left out: for somebody not signed in.")
@click.option("--method", help="The HTTP method; left out: GET.")
@click.option("--host", help="The host of the request, when URL is a path; left out: that of public_url.")
@click.option(
    "--ip",
    "client",
    default="",
    callback=_check_ip,
    help="The client's address; left out: unknown, which is in no network.",
)
@click.option(
    "--second-factor",
    "proof",
    metavar="AGE",
    callback=_check_proof,
    help="How long ago they proved a second factor in this session, such as 0s or 15m, or never. "
    "Left out: just now for who has one set up, never for all others.",
)
@click.option(
    "--request",
    "request_id",
    metavar="ID",
    help="Explain the request with this id (error pages show it), which is looked up in --log.",
)
@click.option(
    "--log",
    "log_file",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="The access log for --request: JSON lines, as Gatekeeper writes them to standard error. Gatekeeper "
    "keeps no log itself: name the file that standard error goes to, or - to read standard input, as in "
    "journalctl -u gatekeeper -o cat | gatekeeper explain --request ID --log -",
)
@config_option
@json_option
def explain(
    url: str | None,
    login: str | None,
    method: str | None,
    host: str | None,
    client: str,
    proof: float | None,
    request_id: str | None,
    log_file: TextIO | None,
    config: Path,
    as_json: bool,
) -> None:
    """Say which rule decides about URL (a path, or a whole address), the answer, and the identity headers."""
    settings = settings_from(config)
    logged = _logged(url, request_id, log_file)
    if logged is not None:
        if logged.judged is None:
            raise click.ClickException(_not_judged(logged))
        url = logged.target
        method, client = method or logged.method, client or logged.client
        login = login or logged.login or None
        if proof is None and logged.judged == "step_up":
            proof = -1.0
    gate_config = make_gate_config(settings)
    facts, application = _facts(url or "/", (method or "GET").upper(), host, client, settings, gate_config)
    now = time.time()
    session = None
    if login is not None:
        user = with_database(config, lambda _, db: _find(db, login))
        if user is None:
            raise click.ClickException(f"there is no account {login!r}; gatekeeper user list shows them")
        session = _session(user, settings, now, proof)
    live = None if session is None or session.user.disabled else session
    found = retrace(application.policy, facts, live, now)
    if session is not None and session.user.disabled:
        found = found._replace(answer=f"{login} is disabled and cannot sign in; without them: {found.answer}")
    allowed = found.decision.outcome is Outcome.ALLOW
    if allowed and live is not None and settings.identity.assertion.header:
        name = settings.identity.assertion.header.lower().encode("ascii")
        signed = f"(JWT, signed for {application.audience})".encode()
        found = found._replace(headers=(*found.headers, (name, signed)))
    if allowed and application.authorization is not None:
        value = application.authorization.value(live, application.policy, found.decision)
        added = ((b"authorization", value),) if value is not None else ()
        found = found._replace(headers=(*found.headers, *added))
    _print(found, facts, application, logged, as_json=as_json)


def _logged(url: str | None, request_id: str | None, log_file: TextIO | None) -> LoggedRequest | None:
    if request_id is None:
        if url is None or log_file is not None:
            raise click.UsageError("name an address, or a request with --request ID --log FILE")
        return None
    if url is not None:
        raise click.UsageError("name an address or a request, not both")
    if log_file is None:
        raise click.UsageError(
            "--request needs --log FILE: Gatekeeper writes its access log to standard error and keeps none "
            "itself; name the file that it goes to, or - for standard input"
        )
    return find_request(log_file, request_id)


def _not_judged(logged: LoggedRequest) -> str:
    if logged.outcome == "own_page":
        return f"{logged.path} is a page of Gatekeeper itself: no rule is asked"
    if logged.outcome == "foreign_origin":
        return "refused with 403 although the rules allow it: the WebSocket was opened by a foreign origin"
    return f"answered {logged.status} ({logged.outcome.replace('_', ' ')}), which no rule decided"


async def _find(db: Database, login: str) -> UserRecord | None:
    async with db.read() as conn:
        return await read_user(conn, key=login_key(login))


def _facts(
    url: str, method: str, host: str | None, client: str, settings: Settings, config: GateConfig
) -> tuple[Facts, Application]:
    """The request, and the application whose it is."""
    if url.startswith("/"):
        path, _, query = url.partition("?")
        netloc = host if host is not None else settings.public_host
    else:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise click.BadParameter("must be a path (/orders) or an address (https://…/orders)")
        netloc, path, query = host or parts.netloc, parts.path or "/", parts.query
    ours = config.hosts.find(netloc.encode("idna" if not netloc.isascii() else "ascii"))
    if ours is None:
        raise click.ClickException(
            "answered 421 before any rule: the host is not that of public_url"
            + (f" ({settings.public_url})" if len(settings.hosts) == 1 else ", nor of an application (at)")
        )
    try:
        target, application = config.target(ours, _as_sent(path), _as_sent(query))
    except RequestRejected as error:
        raise click.ClickException(
            f"answered {error.status} before any rule: {error.reason.replace('_', ' ')}"
        ) from error
    if target.path == CHANGE_PASSWORD or f"{target.path}/".startswith(f"{config.prefix}/"):
        raise click.ClickException(f"{target.path} is a page of Gatekeeper itself: no rule is asked")
    if application is None:
        raise click.ClickException(f"answered 404 before any rule: {ours} has no application for this path")
    if application.signs_out(target.readings):
        raise click.ClickException(
            f"{target.path} leads to Gatekeeper's sign-out (logout_paths): no rule is asked"
        )
    return Facts(method, settings.public_scheme, ours, target, client, Kind.NAVIGATION), application


def _as_sent(text: str) -> bytes:
    """As a browser sends it: what is beyond ASCII is percent-encoded."""
    return "".join(char if char.isascii() else quote(char) for char in text).encode("ascii")


def _session(user: UserRecord, settings: Settings, now: float, proof: float | None) -> Session:
    """A complete session of `user`; `proof` is the age of the second factor's."""
    if proof is None:
        proof = 0.0 if user.second_factor and settings.two_factor.mode != "off" else -1.0
    at = now - proof if proof >= 0.0 else 0.0
    methods = "pwd otp" if at else "pwd"
    record = SessionRecord(bytes(32), user.id, user.session_epoch, now, now, False, methods, now, at, "", "")
    return Session(record, user, "", header_maker(make_identity_names(settings))(user))


def _then_and_now(logged: LoggedRequest, found: Explanation, label: Callable[[int], str]) -> str:
    """How what the log says compares with the answer of now."""
    rule = "by default" if logged.rule is None else f"by {label(logged.rule)}"
    then = f"{logged.status}, {logged.outcome} {rule}"
    if (logged.judged, logged.rule) == (found.decision.outcome.name.lower(), found.decision.rule):
        return f"{then}; it would be the same now"
    return (
        f"{then}; it would be different now: rules, roles, sign-in or second factor changed, or the request "
        "had something that the log does not hold"
    )


def _print(
    found: Explanation,
    facts: Facts,
    application: Application,
    logged: LoggedRequest | None,
    *,
    as_json: bool,
) -> None:
    headers = {name.decode("ascii"): value.decode("utf-8") for name, value in found.headers}
    if as_json:
        content = {
            "method": facts.method,
            "host": facts.host,
            "application": application.name,
            "path": facts.target.path,
            "client": facts.client,
            "readings": list(facts.target.readings),
            "outcome": found.decision.outcome.name.lower(),
            "rule": found.decision.rule,
            "answer": found.answer,
            "rules": [verdict._asdict() for verdict in found.verdicts],
            "headers": headers,
        }
        if logged is not None:
            content["logged"] = {
                **logged._asdict(),
                "compared": _then_and_now(logged, found, application.policy.label),
            }
        click.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    click.echo(f"{facts.method} {facts.target.path}" + (f" from {facts.client}" if facts.client else ""))
    if application.name:
        click.echo(f"Application: {application.name}")
    for verdict in found.verdicts:
        mark = "→" if verdict.hit else " "
        reading = f" (read as {verdict.path})" if len(facts.target.readings) > 1 else ""
        click.echo(f"  {mark} {verdict.label} {verdict.rule}: {verdict.why}{reading}")
    click.echo(f"Answer: {found.answer}")
    if logged is not None:
        click.echo(f"The log: {_then_and_now(logged, found, application.policy.label)}")
    for name, value in headers.items():
        click.echo(f"  {name}: {value}")
