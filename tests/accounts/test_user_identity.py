"""`gatekeeper user unlink` as an operator types it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result

from gatekeeper.accounts.federation import Federation
from gatekeeper.cli.user import user
from gatekeeper.providers.protocol import Claims
from tests.accounts.support import LOGIN, world
from tests.servers.databases import write_settings


def types(folder: Path, login: str, provider: str = "microsoft") -> Result:
    config = write_settings(folder)
    return CliRunner().invoke(user, ["unlink", login, "--provider", provider, "--config", str(config)])


async def signs_in(folder: Path, subject: str) -> None:
    async with world(folder) as w:
        if not await w.users.find(LOGIN):
            await w.pat()
        federation = Federation(w.db, w.users, w.lockout, w.audit, lambda: w.now, policies={})
        await federation.sign_in(Claims("microsoft", subject, LOGIN))


def test_an_operator_lets_the_next_person_of_a_name_in(tmp_path: Path) -> None:
    asyncio.run(signs_in(tmp_path, "tid:one"))
    other = types(tmp_path, LOGIN, "okta")
    assert other.stdout == f"{LOGIN} is not bound to anybody of okta, but of: microsoft.\n"
    result = types(tmp_path, "PAT@example.com")
    assert (result.exit_code, result.stdout) == (
        0,
        f"{LOGIN} is no longer bound to tid:one of microsoft; its sessions have ended.\n",
    )
    assert types(tmp_path, LOGIN).stdout == f"{LOGIN} is not bound to anybody of microsoft.\n"
    asyncio.run(signs_in(tmp_path, "tid:two"))


def test_an_unknown_account_is_an_error_in_one_line(tmp_path: Path) -> None:
    asyncio.run(signs_in(tmp_path, "tid:one"))
    result = types(tmp_path, "nobody@example.com")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no account nobody@example.com\n")
