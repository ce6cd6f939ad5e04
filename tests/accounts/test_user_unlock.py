"""`gatekeeper user unlock` as an operator types it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.cli.user_unlock import unlock
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, OTHER_PASSWORD, PASSWORD, world
from tests.servers.databases import write_settings


def types(folder: Path, login: str) -> Result:
    config = write_settings(folder)
    return CliRunner().invoke(unlock, [login, "--config", str(config)])


async def lock(folder: Path) -> None:
    async with world(folder) as w:
        await w.pat()
        for _ in range(5):
            with pytest.raises(InvalidCredentials):
                await w.sign_in.password(LOGIN, OTHER_PASSWORD)


async def opened(folder: Path) -> list[str]:
    """Sign in; the actors of all unlockings."""
    async with world(folder) as w:
        await w.sign_in.password(LOGIN, PASSWORD)
        return [
            row["actor"] for row in await w.rows(tables.audit_events) if row["kind"] == "account.unlocked"
        ]


def test_an_operator_unlocks_an_account_under_any_spelling(tmp_path: Path) -> None:
    asyncio.run(lock(tmp_path))
    result = types(tmp_path, "PAT@example.com")
    assert (result.exit_code, result.stdout) == (0, f"{LOGIN} is unlocked.\n")
    assert types(tmp_path, LOGIN).stdout == f"{LOGIN} was not locked.\n"
    (actor,) = asyncio.run(opened(tmp_path))
    assert actor.startswith("cli:")


def test_an_unknown_account_is_an_error_in_one_line(tmp_path: Path) -> None:
    asyncio.run(lock(tmp_path))
    result = types(tmp_path, "nobody@example.com")
    assert result.exit_code == 1
    assert result.stderr == "Error: there is no account nobody@example.com\n"
