"""`gatekeeper session …` as an operator types it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gatekeeper.cli.session import session
from gatekeeper.core.session import EndReason
from gatekeeper.storage.tables import audit_events, sessions, users
from tests.sessions.support import HandClock, World, sign_in


class Operator:
    """Someone at a shell, with two people signed in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gatekeeper.yaml"
        self.config.write_text("public_url: http://127.0.0.1:8080\ndata_dir: data\n")
        self.cookies: list[bytes] = []
        self.keys: list[str] = []
        asyncio.run(self._people_sign_in())

    async def _people_sign_in(self) -> None:
        world = World(self.folder / "data")
        world.clock = HandClock(time.time())
        manager = await world.process()
        for user in (await world.add_user("pat"), await world.add_user("kim")):
            for _ in range(2):
                started, cookie = await sign_in(manager, user)
                self.cookies.append(cookie)
                self.keys.append(started.record.key.hex())
        await world.close()

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(session, [*words, "--config", str(self.config)])

    def lists(self, *words: str) -> list[dict[str, Any]]:
        result = self.types("list", "--json", *words)
        assert result.exit_code == 0, result.output
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def audited(self) -> list[tuple[str, str, Any]]:
        async def read() -> list[tuple[str, str, Any]]:
            world = World(self.folder / "data")
            async with (await world.database()).read() as conn:
                columns = audit_events.c
                found = await conn.execute(sa.select(columns.kind, columns.login, columns.details))
                rows = [(row.kind, row.login, row.details["sessions"]) for row in found]
            await world.close()
            return rows

        return asyncio.run(read())

    def answer(self, number: int) -> EndReason | None:
        async def asked() -> EndReason | None:
            world = World(self.folder / "data")
            manager = await world.process()
            found = await manager.load(self.cookies[number], time.time())
            await world.close()
            return found if isinstance(found, EndReason) else None

        return asyncio.run(asked())


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_the_list_says_who_is_signed_in_and_opens_nothing(operator: Operator) -> None:
    assert sorted(entry["login"] for entry in operator.lists()) == ["kim", "kim", "pat", "pat"]
    assert {entry["login"] for entry in operator.lists("--user", "PAT")} == {"pat"}
    for words in (("list",), ("list", "--json")):
        printed = operator.types(*words).output
        assert "192.0.2.1" in printed and "Test/1.0" in printed
        for secret in (*operator.keys, *(cookie.decode() for cookie in operator.cookies)):
            assert secret[:13] not in printed


def test_the_list_says_who_has_not_finished_signing_in(operator: Operator) -> None:
    async def must_change() -> None:
        world = World(operator.folder / "data")
        async with (await world.database()).begin() as conn:
            await conn.execute(sa.update(users).where(users.c.login == "kim").values(must_change="reset"))
        await world.close()

    asyncio.run(must_change())
    steps = {entry["login"]: entry["step"] for entry in operator.lists()}
    assert steps == {"pat": "", "kim": "new_password"}
    assert operator.types("list").output.count("(half-finished: new_password)") == 2


def test_what_is_remembered_is_listed_as_long_as_the_configuration_remembers(operator: Operator) -> None:
    async def remember() -> None:
        world = World(operator.folder / "data")
        long_ago = time.time() - 40_000
        async with (await world.database()).begin() as conn:
            await conn.execute(
                sa.update(sessions).values(remembered=True, created_at=long_ago, last_seen_at=long_ago)
            )
        await world.close()

    asyncio.run(remember())
    assert operator.lists() == []
    operator.config.write_text(operator.config.read_text() + "session: {remember_me: true}\n")
    assert [entry["remembered"] for entry in operator.lists()] == [True] * 4


def test_revoking_a_user_leaves_the_others(operator: Operator) -> None:
    assert operator.types("revoke", "--user", "pat").stdout == "2 sessions ended.\n"
    assert {entry["login"] for entry in operator.lists()} == {"kim"}
    assert operator.answer(0) is EndReason.REVOKED and operator.answer(2) is None
    assert operator.audited() == [("session.revoked", "pat", 2)]


def test_revoking_by_id_ends_that_session_alone(operator: Operator) -> None:
    shown = operator.keys[3][:12]
    assert operator.types("revoke", "--id", shown.upper()).stdout == "1 session ended.\n"
    assert [operator.answer(number) for number in range(4)] == [None, None, None, EndReason.REVOKED]
    assert operator.audited() == [("session.revoked", "kim", 1)]
    again = operator.types("revoke", "--id", shown)
    assert again.exit_code == 1 and "no session that is alive" in again.output


def test_revoking_all_ends_everybodys(operator: Operator) -> None:
    result = operator.types("revoke", "--all", "--json")
    assert json.loads(result.stdout) == {"ended": 4}
    assert operator.lists() == []
    assert sorted(operator.audited()) == [("session.revoked", "kim", 2), ("session.revoked", "pat", 2)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "one of --user, --id and --all"),
        (("--user", "pat", "--all"), 2, "one of --user, --id and --all"),
        (("--id", "abc"), 2, "at least 6"),
        (("--id", "%%%%%%%%"), 2, "at least 6"),
        (("--user", "nobody"), 1, "no account nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_ends_nothing(
    operator: Operator, words: tuple[str, ...], code: int, said: str
) -> None:
    result = operator.types("revoke", *words)
    assert result.exit_code == code and said in result.output
    assert len(operator.lists()) == 4
    assert operator.audited() == []
