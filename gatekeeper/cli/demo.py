"""`gatekeeper demo`: a sample application and Gatekeeper in front of it, on this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import click
import structlog
import yaml

import gatekeeper
from gatekeeper.accounts.admin_link import LIFETIME
from gatekeeper.build import create_app
from gatekeeper.cli.admin_link import issue_link
from gatekeeper.cli.serve import run_server
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.demo.mailbox import make_mailbox
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from gatekeeper.serving.sockets import CannotListen, listen_on
from gatekeeper.settings import Settings, SettingsError, make_settings
from gatekeeper.settings.addresses import parse_host_port
from gatekeeper.telemetry import logs

_MARK = ".gatekeeper-demo"
"""Says that a folder is the demo's own, and is locked while a demo runs in it."""
_PROBE_SECONDS = 2.0

log = structlog.get_logger("gatekeeper")


def _clone() -> Path | None:
    """The clone of the repository that this runs from, if any."""
    folder = Path(gatekeeper.__file__).resolve().parent.parent
    return folder if (folder / "run").is_file() else None


def default_data_dir() -> Path:
    """`demo-data` in a clone of the repository; where programs keep their data otherwise."""
    clone = _clone()
    return clone / "demo-data" if clone is not None else Path(click.get_app_dir("gatekeeper-demo"))


def _listen(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """`host:port`, on loopback only: the demo's sign-in is readable on the way."""
    try:
        place = parse_host_port(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not place.loopback:
        raise click.BadParameter(
            f"{place.host} is not this machine alone. The demo speaks plain http and stays on loopback "
            "(127.0.0.1); for others to reach it, see `gatekeeper serve` and the README."
        )
    if place.port is None:
        raise click.BadParameter("a port is missing, such as 127.0.0.1:8080")
    host = "127.0.0.1" if place.host == "localhost" else place.host
    return f"{host}:{place.port}"


@click.command()
@click.option("--upstream", metavar="URL", help="Your own application instead of the sample application.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    callback=_listen,
    help="Where Gatekeeper listens; loopback only. Port 0 takes a free one.",
)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_data_dir,
    show_default="demo-data in the clone",
    help="The demo's own folder: accounts, sessions, secret, mails.",
)
@click.option("--fresh", is_flag=True, help="Forget the accounts and sessions of earlier demos first.")
def demo(upstream: str | None, listen: str, data_dir: Path, fresh: bool) -> None:
    """Show Gatekeeper on this machine, in front of a sample application or your own.

    Prints a one-time link that makes the first account. Ctrl-C ends it; the accounts are kept.
    """
    logs.configure("warning", "auto")
    try:
        with contextlib.ExitStack() as stack:
            data_dir = data_dir.resolve()
            stack.enter_context(_own_folder(data_dir, fresh))
            address = _free_address(listen)
            url = upstream or f"http://127.0.0.1:{stack.enter_context(serving(make_sample()))}"
            data = _configuration(address, url, upstream is None)
            settings = make_settings(data, base=data_dir, needs_upstream=True)
            _write_configuration(data_dir / "gatekeeper.yaml", data)
            mailbox = stack.enter_context(serving(make_mailbox(data_dir / "mail")))
            token = asyncio.run(issue_link(settings))
            banner = _banner(settings, data_dir, token, mailbox, sample=upstream is None)
            if upstream is not None and not _answers(upstream):
                banner += f"\n  Nothing answers at {upstream} yet: pages will say 502 until it does.\n"
            failed = run_server(create_app(settings), on_started=lambda: click.echo(banner))
    except SettingsError as error:
        raise click.ClickException("; ".join(f"{p.key}: {p.message}" for p in error.problems)) from error
    except (CannotListen, GatekeeperError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if failed:
        raise click.exceptions.Exit(3)


@contextlib.contextmanager
def _own_folder(folder: Path, fresh: bool) -> Iterator[None]:
    """`folder`, made when missing, for this demo alone while the block runs.

    A folder with something else in it is refused, so that neither `--fresh` nor the demo's settings can
    harm a real installation.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise click.ClickException(f"{folder} holds something that is not a demo's: choose another --data")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / _MARK).open("a") as mark:
        _lock(mark, folder)
        if fresh:
            for entry in folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != _MARK:
                    entry.unlink()
        yield


def _lock(mark: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(
            f"another demo is running with {folder}: end it or choose another --data"
        ) from None


def _free_address(listen: str) -> str:
    """`listen`, with port 0 replaced. A taken port is a ClickException that names a free one."""
    host, _, port = listen.rpartition(":")
    try:
        with listen_on(listen) as probe:
            return f"{host}:{probe.getsockname()[1]}"
    except CannotListen as error:
        message = str(error)
    for other in range(int(port) + 1, min(int(port) + 20, 65_536)):
        with contextlib.suppress(CannotListen), listen_on(f"{host}:{other}"):
            message += f"\nAnother program uses it? Try: --listen {host}:{other}"
            break
    raise click.ClickException(message)


def _configuration(address: str, upstream: str, is_sample: bool) -> dict[str, Any]:
    """As in a YAML file. Relative paths begin at the demo's folder."""
    return {
        "public_url": f"http://{address}",
        "listen": address,
        "upstream": upstream,
        "data_dir": ".",
        "mail": {"from": "Gatekeeper demo <gatekeeper@example.com>", "to_directory": "mail"},
        "branding": {"product_name": "Acme Back Office" if is_sample else "Your application"},
        "log": {"level": "warning"},
    }


def _write_configuration(path: Path, data: dict[str, Any]) -> None:
    """For the other commands, such as `user add`; written anew at each start."""
    head = (
        "# Written by `gatekeeper demo` at each start: changes are lost.\n"
        "# A documented example with every key: config/gatekeeper.yaml\n"
    )
    path.write_text(head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def _answers(upstream: str) -> bool:
    parts = urlsplit(upstream)
    if not parts.hostname:
        return True  # a unix socket: the first request will tell
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname, port), _PROBE_SECONDS):
            return True
    except OSError:
        return False


def _banner(settings: Settings, data_dir: Path, token: str | None, mailbox: int, *, sample: bool) -> str:
    url, prefix = settings.public_url, settings.prefix
    behind = "a sample application" if sample else settings.applications[0].url
    command = "./run" if _clone() else "gatekeeper"
    lines = ["", f"  Gatekeeper stands in front of {behind}", "", f"  Open      {url}/"]
    if token is not None:
        lines += [
            f"  First     {url}{prefix}/setup#{token}",
            f"            makes the administrator's account: works once, for {LIFETIME / 3600:.0f} hours",
        ]
    lines += [
        f"  Sign out  {url}{prefix}/logout",
        f"  Mails     http://127.0.0.1:{mailbox}/ shows what Gatekeeper mails",
        f"  Data      {data_dir} (--fresh forgets it)",
        f"  Accounts  {command} user add LOGIN --config {data_dir / 'gatekeeper.yaml'}",
        "",
        "  Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)
