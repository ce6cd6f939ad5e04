"""The database server: what an operator reads before and after something is wrong with it."""

from __future__ import annotations

import asyncio

from gatekeeper.doctor.database_server import ServerCheck
from gatekeeper.doctor.protocol import Finding
from gatekeeper.storage.engine import Database
from tests.servers.postgres import PASSWORD, postgres


def look(url: str, password: str = PASSWORD) -> list[Finding]:
    return asyncio.run(ServerCheck(Database(url, password=password)).run())


def test_a_server_that_answers_is_looked_at_closely() -> None:
    found = look(postgres().new_database())
    assert found[0].level == "ok" and "answers" in found[0].text
    # The server of the tests does not wait for its disk: nobody should rely on such a one.
    assert [each.level for each in found[1:]] == ["fail"] and "fsync" in found[1].text


def test_a_database_without_tables_and_one_that_is_not_there() -> None:
    empty = look(postgres().new_database(empty=True))
    assert any(each.level == "warn" and "no tables" in each.text for each in empty)
    (refused,) = look(postgres().url("nowhere"))
    assert refused.level == "fail" and "no database of this name" in refused.text
    (denied,) = look(postgres().url("postgres"), "canary wrong")
    assert denied.level == "fail" and "canary" not in denied.text + denied.advice
