"""`gatekeeper mail …`: see what mails look like, try the settings, look at what waits."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import click
from jinja2 import TemplateError

from gatekeeper.build.mail import make_composer, make_links, make_transport
from gatekeeper.cli.common import (
    config_option,
    json_option,
    print_json,
    print_table,
    settings_from,
    when,
    with_database,
)
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.mail.compose import Composer
from gatekeeper.mail.kinds import SPECS, MailKind
from gatekeeper.mail.links import Links
from gatekeeper.mail.queue import Entry, entries
from gatekeeper.mail.templates import Facts
from gatekeeper.settings import Settings
from gatekeeper.settings.mail import MailSettings
from gatekeeper.storage.engine import Database

_EXAMPLE_TOKEN = "example-token-that-opens-nothing"  # noqa: S105
_EXAMPLE_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_NO_MAIL = "mail: is missing in the configuration: no mail is sent"


@click.group()
def mail() -> None:
    """Preview mails, try the settings, show what waits."""


@mail.command()
@click.argument("kind", type=click.Choice([kind.value for kind in MailKind]))
@click.option("--text", "form", flag_value="text", default="text", help="The text version (the default).")
@click.option("--html", "form", flag_value="html", help="The HTML version.")
@click.option("--eml", "form", flag_value="eml", help="The whole message, as a mail program opens it.")
@config_option
def preview(kind: str, form: str, config: Path) -> None:
    """Print what a mail of KIND looks like, with example values."""
    settings = settings_from(config)
    wanted = MailKind(kind)
    given = settings.mail or MailSettings.model_validate(
        {"from": "gatekeeper@example.com", "to_directory": "."}
    )
    composer = _composer(settings, given)
    facts = example(wanted, make_links(settings))
    try:
        if form == "eml":
            letter = composer.compose(
                wanted, facts, "pat@example.com", message_id="example", now=facts.created_at
            )
            click.echo(letter.data, nl=False)
            return
        texts = composer.templates.render(wanted, facts)
    except TemplateError as error:
        raise click.ClickException(f"the template cannot be rendered: {error}") from error
    click.echo(texts.html if form == "html" else f"{texts.subject}\n\n{texts.plain}", nl=form == "html")


@mail.command()
@click.argument("address")
@config_option
def test(address: str, config: Path) -> None:
    """Send one mail to ADDRESS at once, and say what the mail server answers."""
    settings = settings_from(config)
    if settings.mail is None:
        raise click.ClickException(_NO_MAIL)
    facts = Facts("", "", {}, time.time(), None)
    composer = _composer(settings, settings.mail)
    try:
        letter = composer.compose(
            MailKind.TEST, facts, address, message_id=secrets.token_hex(16), now=facts.created_at
        )
        asyncio.run(make_transport(settings.mail).send(letter))
    except (GatekeeperError, TemplateError, OSError) as error:
        raise click.ClickException(f"not sent: {error}") from error
    where = settings.mail.to_directory or "the mail server"
    click.echo(f"Sent: {where} has taken it.")


@mail.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many."
)
@config_option
@json_option
def queue(limit: int, config: Path, as_json: bool) -> None:
    """List the mails that wait, were sent or given up; the newest first, never what is in them."""

    async def work(settings: Settings, db: Database) -> list[Entry]:
        async with db.read() as conn:
            return await entries(conn, limit)

    found = with_database(config, work)
    now = time.time()
    if as_json:
        print_json([_as_json(entry, now) for entry in found])
    else:
        head = ("ID", "KIND", "TO", "POSTED", "STATE", "TRIES", "NEXT TRY")
        print_table(head, [_as_row(entry, now) for entry in found])


def example(kind: MailKind, links: Links) -> Facts:
    """Everything that `kind` may be given, with links that open nothing."""
    link = {
        MailKind.INVITATION: links.invitation(_EXAMPLE_TOKEN),
        MailKind.RECOVERY: links.recovery(_EXAMPLE_TOKEN),
        MailKind.LOCKED: links.unlock(_EXAMPLE_TOKEN),
        MailKind.GENERATED_PASSWORD: links.sign_in(),
        MailKind.PASSWORD_CHANGED: links.forgot(),
    }.get(kind, links.password())
    known = {
        "link": link,
        "password": "example-Password-1",
        "days": "14",
        "client": "192.0.2.7",
        "user_agent": _EXAMPLE_AGENT,
        "change": "added",
    }
    spec = SPECS[kind]
    values = {name: known[name] for name in spec.needs | spec.may | {"link", "client", "user_agent"}}
    now = time.time()
    return Facts("pat@example.com", "Pat Example", values, now, now + spec.lifetime)


def _composer(settings: Settings, given: MailSettings) -> Composer:
    try:
        return make_composer(settings, given)
    except GatekeeperError as error:
        raise click.ClickException(f"mail.from or mail.reply_to: {error}") from error


def _as_json(entry: Entry, now: float) -> dict[str, object]:
    waiting = entry.state(now) == "waiting"
    return {
        "id": entry.id,
        "kind": entry.kind,
        "recipient": entry.recipient,
        "created_at": when(entry.created_at),
        "expires_at": when(entry.expires_at),
        "state": entry.state(now),
        "attempts": entry.attempts,
        "next_attempt_at": when(entry.next_attempt_at) if waiting else None,
        "sent_at": when(entry.sent_at),
    }


def _as_row(entry: Entry, now: float) -> tuple[str, ...]:
    state = entry.state(now)
    return (
        str(entry.id),
        entry.kind,
        "".join(letter if letter.isprintable() else "?" for letter in entry.recipient),
        when(entry.created_at) or "",
        state,
        str(entry.attempts),
        (when(entry.next_attempt_at) or "") if state == "waiting" else "",
    )
