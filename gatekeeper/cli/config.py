"""`gatekeeper check` and `gatekeeper schema`: is this configuration right, and what may it say?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gatekeeper.cli.common import config_option
from gatekeeper.settings import Settings, SettingsError, load_settings
from gatekeeper.settings.remarks import remarks
from gatekeeper.settings.schema import json_schema
from gatekeeper.settings.units import duration_text


@click.command()
@config_option
def check(config: Path) -> None:
    """Check a configuration file and the environment; nothing is started or written.

    Every error is one line on standard error, `file:line:column: key: what is wrong`, and the exit code is 1.
    """
    try:
        settings = load_settings(config, os.environ, create=False)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        click.echo(_count(len(error.problems), "error"), err=True)
        raise click.exceptions.Exit(1) from error
    click.echo(f"{config}: OK")
    for line in _summary(settings):
        click.echo(line)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def _summary(settings: Settings) -> list[str]:
    """What the configuration comes to, without secrets."""
    secrets = len(settings.secrets)
    session = settings.session
    return [
        "\n".join(f"  {line}" for line in _traffic(settings))
        + f", listening on {', '.join(settings.listen)}",
        f"  sessions end after {duration_text(session.idle_timeout)} without activity, "
        f"after {duration_text(session.absolute_timeout)} at the latest",
        f"  {_rules(settings)}; everything else needs a sign-in",
        *_ways(settings),
        f"  {_second_factor(settings)}",
        f"  {_lockout(settings)}",
        f"  {_mail(settings)}",
        f"  database {settings.database.removeprefix('sqlite+aiosqlite:///')}",
        f"  {_count(secrets, 'secret')}"
        + ("" if secrets else f": one will be made in {settings.data_dir} at the first start"),
        *(f"  remark: {remark}" for remark in remarks(settings)),
    ]


def _rules(settings: Settings) -> str:
    own = [one for one in settings.applications if one.rules]
    extra = "".join(f", and {len(one.rules)} for {one.label} alone" for one in own)
    return _count(len(settings.rules), "rule") + extra


def _traffic(settings: Settings) -> list[str]:
    proxies = ", ".join(str(proxy).removesuffix("/32") for proxy in settings.trusted_proxies)
    if settings.upstream is None:
        return [f"{settings.public_url}: sign-in pages, and answers to the proxy at {proxies} (forward auth)"]
    found = []
    for one in settings.applications:
        places = ", ".join(
            f"{settings.public_scheme}://{place.host}" + place.path.removesuffix("/")
            for place in settings.places(one)
        )
        name = f"{one.name}: " if one.name else ""
        target = f"-> {one.url}" if one.forwards else f"answered for to the proxy at {proxies} (forward auth)"
        found.append(f"{name}{places} {target}")
    return found


def _ways(settings: Settings) -> list[str]:
    """Who says who somebody is; nothing where passwords alone do."""
    found = ["passwords"] if settings.password.sign_in else []
    if settings.microsoft is not None:
        found.append(f"{settings.microsoft.label} (tenant {settings.microsoft.tenant})")
    found += [f"{one.label or one.name} ({one.issuer})" for one in settings.oidc]
    return [] if found == ["passwords"] else [f"  sign-in: {', '.join(found)}"]


def _second_factor(settings: Settings) -> str:
    two_factor = settings.two_factor
    if two_factor.roles:
        return f"second factor: optional, mandatory for {', '.join(two_factor.roles)}"
    return f"second factor: {two_factor.mode}"


def _lockout(settings: Settings) -> str:
    seconds = settings.lockout.unlock_seconds
    wrong = _count(settings.lockout.attempts, "wrong password or code", "wrong passwords or codes")
    until = "until it is unlocked" if seconds is None else f"for {duration_text(seconds)}"
    return f"lockout: after {wrong}, {until}"


def _mail(settings: Settings) -> str:
    mail = settings.mail
    if mail is None:
        return "mail: none (no invitations, no recovery, no unlock links)"
    if mail.smtp is None:
        return f"mail: from {mail.from_}, into the folder {mail.to_directory}"
    smtp = mail.smtp
    return f"mail: from {mail.from_}, through {smtp.host}:{smtp.real_port} (tls: {smtp.tls})"


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun if number == 1 else several or noun + 's'}"
