"""Accounts change in one transaction with their audit row and with what the sessions must hear."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.session import UserRecord
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, World, tell

Change = Callable[[World, UserRecord], Awaitable[object]]


async def error_of(work: Awaitable[object]) -> AccountError:
    with pytest.raises(AccountError) as caught:
        await work
    return caught.value


async def revocations(w: World, user: UserRecord) -> int:
    return len([row for row in await w.rows(tables.revocations) if row["user_id"] == user.id])


def test_an_added_account_is_found_by_id_and_by_any_spelling(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(email=LOGIN, roles=("ops",))
        assert await w.users.get(pat.id) == pat
        assert await w.users.find("PAT@example.com") == pat
        assert await w.users.find("nobody@example.com") is None
        assert await w.users.get(pat.id + 1) is None
        assert pat[1:7] == (LOGIN, "Pat Example", LOGIN, ("ops",), False, 0)
        elsewhere = await w.users.add("kim@example.com", by=BY)
        assert pat.has_password and not elsewhere.has_password, "who only signs in elsewhere"

    tell(tmp_path, story)


def test_a_login_belongs_to_one_account_in_all_its_spellings(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        error = await error_of(w.users.add("PAT@EXAMPLE.com", by=BY))
        assert error.reason == "login_taken"
        assert await w.kinds() == ["user.added"]

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_many_adding_one_login_at_once_one_succeeds(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        outcomes = await asyncio.gather(
            *(w.users.add(LOGIN, by=BY) for _ in range(10)), return_exceptions=True
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, AccountError)]
        assert [error.reason for error in taken] == ["login_taken"] * 9
        assert len(await w.users.list()) == 1

    tell(tmp_path, story)


def test_a_bad_password_is_refused_with_its_reasons_and_its_words(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        error = await error_of(w.pat(password="hunter2"))
        assert error.reason == "bad_password"
        assert set(error.problems) == {"too_short", "common"}
        assert "at least 12 characters" in str(error)
        assert "hunter2" not in str(error)
        assert await w.users.list() == []
        assert w.hasher.hashed == 0

    tell(tmp_path, story)


def test_the_list_is_ordered_and_knows_who_has_a_password(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat(roles=("b", "a"))
        await w.users.add("Alex@example.com", by=BY)
        accounts = await w.users.list()
        assert [(a.user.login, a.user.roles, a.has_password) for a in accounts] == [
            ("Alex@example.com", (), False),
            (LOGIN, ("a", "b"), True),
        ]
        assert accounts[1].password_changed_at == w.now
        assert accounts[0].password_changed_at is None

    tell(tmp_path, story)


ENDS: dict[str, tuple[Change, str]] = {
    "password": (lambda w, u: w.users.set_password(u.id, OTHER_PASSWORD, by=BY), "password.set"),
    "disable": (lambda w, u: w.users.set_disabled(u.id, True, by=BY), "user.disabled"),
}


@pytest.mark.parametrize("name", ENDS)
def test_changes_that_end_sessions_raise_the_epoch_and_tell_every_process(tmp_path: Path, name: str) -> None:
    change, kind = ENDS[name]

    async def story(w: World) -> None:
        pat, other = await w.pat(), await w.users.add("other@example.com", by=BY)
        await change(w, pat)
        after = await w.users.get(pat.id)
        assert after is not None
        assert after.session_epoch == pat.session_epoch + 1
        assert await revocations(w, pat) == 1
        assert await w.users.get(other.id) == other
        assert (await w.kinds())[-1] == kind

    tell(tmp_path, story)


TELLS: dict[str, tuple[Change, str]] = {
    "set": (lambda w, u: w.users.set_roles(u.id, ["audit"], by=BY), "user.roles_changed"),
    "add": (lambda w, u: w.users.change_roles(u.id, add=["audit"], by=BY), "user.roles_changed"),
    "remove": (lambda w, u: w.users.change_roles(u.id, remove=["ops"], by=BY), "user.roles_changed"),
}


@pytest.mark.parametrize("name", TELLS)
def test_changed_roles_end_no_session_but_are_told_at_once(tmp_path: Path, name: str) -> None:
    change, kind = TELLS[name]

    async def story(w: World) -> None:
        pat = await w.pat(roles=("ops",))
        now = await change(w, pat)
        after = await w.users.get(pat.id)
        assert after is not None
        assert after.session_epoch == pat.session_epoch
        assert after.roles == now != pat.roles
        assert await revocations(w, pat) == 1
        row = (await w.rows(tables.audit_events))[-1]
        assert (row["kind"], row["actor"], row["details"]["before"]) == (kind, "cli:test", ["ops"])

    tell(tmp_path, story)


def test_what_changes_nothing_is_not_written_down(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(roles=("ops",))
        assert await w.users.set_roles(pat.id, ["ops"], by=BY) == ("ops",)
        assert not await w.users.set_disabled(pat.id, False, by=BY)
        assert await revocations(w, pat) == 0
        assert await w.kinds() == ["user.added"]

    tell(tmp_path, story)


@pytest.mark.databases
def test_parallel_changes_of_roles_are_all_kept(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        wanted = [f"role-{number}" for number in range(10)]
        await asyncio.gather(*(w.users.change_roles(pat.id, add=[role], by=BY) for role in wanted))
        after = await w.users.get(pat.id)
        assert after is not None
        assert set(after.roles) == set(wanted)

    tell(tmp_path, story)


def test_enabling_again_does_not_bring_old_sessions_back(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        await w.users.set_disabled(pat.id, True, by=BY)
        assert await w.users.set_disabled(pat.id, False, by=BY)
        after = await w.users.get(pat.id)
        assert after is not None
        assert after.session_epoch > pat.session_epoch
        assert (await w.sign_in.password(LOGIN, PASSWORD)).id == pat.id

    tell(tmp_path, story)


def test_a_deleted_account_leaves_its_history_and_never_its_id(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(roles=("ops",))
        await w.users.delete(pat.id, by=BY)
        assert await w.users.get(pat.id) is None
        assert await w.rows(tables.user_roles) == []
        assert await revocations(w, pat) == 1
        assert await w.kinds() == ["user.added", "user.deleted"]
        again = await w.pat()
        assert again.id > pat.id

    tell(tmp_path, story)


def test_an_unknown_account_is_said_to_be_unknown(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        for work in (
            w.users.set_password(99, OTHER_PASSWORD, by=BY),
            w.users.set_disabled(99, True, by=BY),
            w.users.set_roles(99, [], by=BY),
            w.users.delete(99, by=BY),
        ):
            assert (await error_of(work)).reason == "unknown_user"
        assert await w.kinds() == []

    tell(tmp_path, story)


@pytest.mark.sqlite
def test_a_change_stands_or_falls_with_its_audit_row(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        await w.change(
            sa.text(
                "CREATE TRIGGER no_audit BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        )
        with pytest.raises(Exception, match="full"):
            await w.users.set_disabled(pat.id, True, by=BY)
        assert await w.users.get(pat.id) == pat
        assert await revocations(w, pat) == 0

    tell(tmp_path, story)
