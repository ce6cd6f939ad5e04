"""The `gatekeeper` command."""

from __future__ import annotations

from importlib import import_module

import click

from gatekeeper import __version__

# Loaded when asked for: `--help` and `--version` answer at once, and `check` needs no web server.
_COMMANDS = {
    "serve": "gatekeeper.cli.serve:serve",
    "check": "gatekeeper.cli.config:check",
    "reload": "gatekeeper.cli.reload:reload",
    "backup": "gatekeeper.cli.backup:backup",
    "restore": "gatekeeper.cli.backup:restore",
    "doctor": "gatekeeper.cli.doctor:doctor",
    "schema": "gatekeeper.cli.config:schema",
    "explain": "gatekeeper.cli.explain:explain",
    "nginx": "gatekeeper.cli.nginx:nginx",
    "admin-link": "gatekeeper.cli.admin_link:admin_link",
    "user": "gatekeeper.cli.user:user",
    "session": "gatekeeper.cli.session:session",
    "secret": "gatekeeper.cli.secret:secret",
    "keys": "gatekeeper.cli.keys:keys",
    "mail": "gatekeeper.cli.mail:mail",
    "demo": "gatekeeper.cli.demo:demo",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is no command")
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gatekeeper")
def main() -> None:
    """The sign-in that any back-office web application can be given without touching it."""
