"""`gatekeeper user …` as an operator types it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gatekeeper.cli.common import when
from gatekeeper.cli.user import user
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, OTHER_PASSWORD, PASSWORD, CountingHasher, world

PROCESS = [sys.executable, "-c", "from gatekeeper.cli.user import user; user(prog_name='gatekeeper user')"]


class Operator:
    """Someone at a shell, in a folder with a configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gatekeeper.yaml"
        self.config.write_text(
            "public_url: http://127.0.0.1:8080\ndata_dir: data\npassword:\n  min_length: 14\n"
        )

    def types(self, *words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(user, [*words, "--config", str(self.config)], input=stdin)

    def adds_pat(self, *words: str) -> Result:
        result = self.types("add", LOGIN, "--password-stdin", *words, stdin=PASSWORD + "\n")
        assert result.exit_code == 0, result.output
        return result

    def lists(self) -> list[dict[str, Any]]:
        accounts: list[dict[str, Any]] = json.loads(self.types("list", "--json").stdout)
        return accounts

    def changes(self, statement: sa.Executable) -> None:
        async def changed() -> None:
            async with world(self.folder / "data") as w:
                await w.change(statement)

        asyncio.run(changed())

    def signs_in(self, password: str) -> bool:
        async def tried() -> bool:
            async with world(self.folder / "data") as w:
                (row,) = await w.rows(tables.users)
                return await CountingHasher().verify(row["password_hash"], password)

        return asyncio.run(tried())


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_an_account_is_added_listed_and_can_sign_in(operator: Operator) -> None:
    added = operator.adds_pat("--email", LOGIN, "--name", "Pat Example", "--role", "ops", "--role", "audit")
    assert added.stdout == f"Added {LOGIN} with roles audit, ops.\n"
    (account,) = operator.lists()
    assert account["login"] == account["email"] == LOGIN
    assert (account["name"], account["roles"], account["disabled"]) == (
        "Pat Example",
        ["audit", "ops"],
        False,
    )
    assert account["has_password"] is True
    assert account["created_at"].endswith("Z")
    assert account["last_sign_in_at"] is None
    assert operator.signs_in(PASSWORD)
    table = operator.types("list").stdout.splitlines()
    assert table[0].split() == ["LOGIN", "NAME", "EMAIL", "ROLES", "STATE", "2FA", "LAST", "SIGN-IN"]
    assert "audit,ops" in table[1]
    assert table[1].endswith("never")


def test_one_json_line_tells_each_change_with_who_made_it(operator: Operator) -> None:
    (line,) = operator.adds_pat().stderr.splitlines()
    written = json.loads(line)
    assert (written["kind"], written["login"]) == ("user.added", LOGIN)
    assert written["actor"].startswith("cli:")
    assert PASSWORD not in line


def test_json_of_one_account(operator: Operator) -> None:
    account = json.loads(operator.adds_pat("--role", "ops", "--json").stdout)
    assert account == {
        "id": 1,
        "login": LOGIN,
        "name": "",
        "email": "",
        "roles": ["ops"],
        "disabled": False,
    }


def test_another_password_replaces_the_first(operator: Operator) -> None:
    operator.adds_pat()
    result = operator.types("passwd", "PAT@example.com", "--password-stdin", stdin=OTHER_PASSWORD)
    assert result.exit_code == 0
    assert operator.signs_in(OTHER_PASSWORD)
    assert not operator.signs_in(PASSWORD)


def test_an_account_is_disabled_and_enabled(operator: Operator) -> None:
    operator.adds_pat()
    assert operator.types("disable", LOGIN).stdout == f"{LOGIN} is now disabled.\n"
    assert operator.types("disable", LOGIN).stdout == f"{LOGIN} is already disabled.\n"
    assert operator.lists()[0]["disabled"] is True
    assert "disabled" in operator.types("list").stdout
    assert operator.types("enable", LOGIN).stdout == f"{LOGIN} is now enabled.\n"
    assert operator.lists()[0]["disabled"] is False


def test_a_locked_account_is_listed_as_one_until_its_lock_runs_out(operator: Operator) -> None:
    operator.adds_pat()
    assert operator.lists()[0]["locked_at"] is None
    now = time.time()
    operator.changes(sa.update(tables.users).values(locked_at=now - 3600, failures=5))
    assert operator.lists()[0]["locked_at"] == when(now - 3600)
    assert " locked " in operator.types("list").stdout
    with operator.config.open("a") as config:
        config.write("lockout: {unlock_after: 30m}\n")
    assert operator.lists()[0]["locked_at"] is None
    assert " active " in operator.types("list").stdout


def test_the_list_tells_who_has_a_second_factor_and_who_must(operator: Operator) -> None:
    def shown() -> tuple[bool, bool, str]:
        (account,) = operator.lists()
        row = operator.types("list").stdout.splitlines()[1].split()
        return account["second_factor"], account["second_factor_required"], row[row.index("active") + 1]

    operator.adds_pat("--role", "ops")
    assert shown() == (False, False, "off")
    with operator.config.open("a") as config:
        config.write("two_factor: {mode: optional, roles: [ops]}\n")
    assert shown() == (False, True, "required")
    operator.changes(sa.insert(tables.totp).values(user_id=1, secret=b"x", created_at=1.0, confirmed_at=1.0))
    assert shown() == (True, True, "on")


def test_roles_are_set_added_and_removed(operator: Operator) -> None:
    operator.adds_pat("--role", "ops")
    for words, roles in [
        (("add", LOGIN, "audit", "payments"), ["audit", "ops", "payments"]),
        (("remove", LOGIN, "ops"), ["audit", "payments"]),
        (("set", LOGIN, "viewer"), ["viewer"]),
        (("set", LOGIN), []),
    ]:
        result = operator.types("roles", *words, "--json")
        assert json.loads(result.stdout)["roles"] == roles
        assert operator.lists()[0]["roles"] == roles


def test_a_deleted_account_is_gone(operator: Operator) -> None:
    operator.adds_pat()
    assert operator.types("delete", LOGIN).stdout == f"Deleted {LOGIN}.\n"
    assert operator.lists() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("passwd", "nobody@example.com", "--password-stdin"), "there is no account nobody@example.com"),
        (("disable", "nobody@example.com"), "there is no account nobody@example.com"),
        (("roles", "add", "nobody@example.com", "ops"), "there is no account nobody@example.com"),
        (("add", "PAT@example.com", "--password-stdin"), "there is an account PAT@example.com already"),
        (("roles", "add", LOGIN, "a,b"), "role 'a,b'"),
        (("add", "alex@example.com", "--email", "alex", "--password-stdin"), "looks like person@example.com"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_1(
    operator: Operator, words: tuple[str, ...], said: str
) -> None:
    operator.adds_pat()
    result = operator.types(*words, stdin=OTHER_PASSWORD)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert said in line


def test_the_configured_rules_hold_here_too(operator: Operator) -> None:
    result = operator.types("add", LOGIN, "--password-stdin", stdin="kv7 qmz wpxj")
    assert result.exit_code == 1
    assert result.stderr == "Error: Use at least 14 characters.\n"
    assert operator.lists() == []


def test_whoever_signs_in_elsewhere_alone_gets_no_password(operator: Operator) -> None:
    added = operator.types("add", LOGIN, "--no-password", "--role", "ops")
    assert (added.exit_code, added.stdout) == (0, f"Added {LOGIN} with roles ops.\n")
    (account,) = operator.lists()
    assert account["has_password"] is False
    for way in ("--invite", "--first-password", "--password-stdin"):
        both = operator.types("add", "kim@example.com", "--no-password", way, stdin=PASSWORD)
        assert both.exit_code == 2 and "--no-password" in both.stderr
    assert len(operator.lists()) == 1


@pytest.mark.parametrize("command", ["add", "passwd"])
def test_without_a_terminal_the_flag_is_asked_for(operator: Operator, command: str) -> None:
    if command == "passwd":
        operator.adds_pat()
    result = operator.types(command, LOGIN, stdin=PASSWORD)
    assert result.exit_code == 2
    assert "--password-stdin" in result.stderr


def test_a_password_that_is_not_text_is_refused(operator: Operator) -> None:
    result = operator.types("add", LOGIN, "--password-stdin", stdin=b"\xff" * 20)
    assert result.exit_code == 1
    assert "UTF-8" in result.stderr


def test_problems_of_the_configuration_are_said_with_their_place(operator: Operator) -> None:
    operator.config.write_text("public_url: http://127.0.0.1:8080\npasword: 1\nlog:\n  levl: info\n")
    result = operator.types("list")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    assert f"{operator.config}:2:1" in result.stderr


def test_a_database_that_cannot_be_opened_is_one_line(operator: Operator) -> None:
    (operator.folder / "data").mkdir()
    (operator.folder / "data" / "gatekeeper.db").write_bytes(b"not a database" * 100)
    result = operator.types("list")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_in_a_process_of_its_own_the_password_comes_from_a_pipe(operator: Operator) -> None:
    done = subprocess.run(
        [*PROCESS, "add", LOGIN, "--password-stdin", "--config", str(operator.config)],
        input=PASSWORD,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, f"Added {LOGIN} without roles.\n")
    assert operator.signs_in(PASSWORD)


def test_on_a_terminal_it_asks_twice_and_shows_nothing(operator: Operator) -> None:
    shown = _at_a_terminal(
        [*PROCESS, "add", LOGIN, "--config", str(operator.config)],
        [("Password:", PASSWORD), ("Password again:", PASSWORD)],
    )
    assert f"Added {LOGIN} without roles." in shown
    assert PASSWORD not in shown
    assert '"kind"' not in shown  # no log lines between the words for a person
    assert operator.signs_in(PASSWORD)


def _at_a_terminal(command: list[str], answers: list[tuple[str, str]]) -> str:
    """Run `command` on a pseudo terminal, answer each prompt, return all that was shown."""
    parent, child = pty.openpty()
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, start_new_session=True)
    os.close(child)
    shown, seen = "", 0
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            try:
                data = os.read(parent, 4096)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            shown += data.decode()
            if answers and answers[0][0] in shown[seen:]:
                seen = len(shown)
                os.write(parent, answers.pop(0)[1].encode() + b"\n")
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert process.returncode == 0, shown
    return shown
