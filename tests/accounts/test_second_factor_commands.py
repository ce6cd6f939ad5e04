"""`gatekeeper user reset-2fa` and `require-2fa` as an operator types them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.user import user
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, World, world
from tests.factors.support import factors, set_up


class Operator:
    """Someone at a shell, with a configuration and one account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gatekeeper.yaml"
        self.says("")
        self.works(lambda made: made.pat())

    def says(self, more: str) -> None:
        self.config.write_text(f"public_url: http://127.0.0.1:8080\ndata_dir: data\n{more}")

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(user, [*words, "--config", str(self.config)])

    def works(self, story: Callable[[World], Awaitable[Any]]) -> Any:
        async def told() -> Any:
            async with world(self.folder / "data") as made:
                return await story(made)

        return asyncio.run(told())

    def pat(self) -> Any:
        return self.works(lambda made: made.users.find(LOGIN))

    def kinds(self) -> list[str]:
        return self.works(lambda made: made.kinds())  # type: ignore[no-any-return]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    (tmp_path / "data").mkdir()
    return Operator(tmp_path)


async def pat_sets_up(made: World) -> None:
    pat = await made.users.find(LOGIN)
    assert pat is not None
    await set_up(made, factors(made), pat)


def test_a_lost_phone_is_reset(operator: Operator) -> None:
    operator.works(pat_sets_up)
    assert operator.pat().second_factor
    result = operator.types("reset-2fa", "PAT@example.com")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"Second factor of {LOGIN} removed; its sessions have ended.\n")
    assert not operator.pat().second_factor
    assert operator.kinds()[-1] == "second_factor.reset"
    assert operator.types("reset-2fa", LOGIN).stdout == f"{LOGIN} has no second factor.\n"
    assert operator.works(lambda made: made.rows(tables.recovery_codes)) == []


def test_one_account_must_have_a_second_factor(operator: Operator) -> None:
    assert operator.types("require-2fa", LOGIN).stdout == f"A second factor is now mandatory for {LOGIN}.\n"
    assert operator.pat().two_factor == "mandatory"
    assert "already mandatory" in operator.types("require-2fa", LOGIN).stdout
    revoked = operator.works(lambda made: made.rows(tables.revocations))
    assert len(revoked) == 1, "open sessions hear of it"
    assert "now left to the configuration" in operator.types("require-2fa", LOGIN, "--off").stdout
    assert operator.pat().two_factor == ""
    assert operator.kinds()[-2:] == ["second_factor.required", "second_factor.not_required"]


def test_where_nobody_is_asked_the_operator_is_told(operator: Operator) -> None:
    operator.says("two_factor:\n  mode: off\n")
    result = operator.types("require-2fa", LOGIN)
    assert result.exit_code == 0
    assert "no effect yet" in result.stderr


@pytest.mark.parametrize("command", ["reset-2fa", "require-2fa"])
def test_an_unknown_login_is_one_line_and_exit_code_1(operator: Operator, command: str) -> None:
    for login in ("nobody@example.com", "\u0000"):
        result = operator.types(command, login)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert "there is no account" in result.stderr
