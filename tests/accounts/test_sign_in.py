"""Signing in with a password: the right one opens, and every refusal looks and costs the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.hashing import Cost
from gatekeeper.core.errors import Overloaded, StoreUnavailable
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, OTHER_PASSWORD, PASSWORD, CountingHasher, World, tell, world


async def refused(w: World, login: str, password: str) -> InvalidCredentials:
    with pytest.raises(InvalidCredentials) as caught:
        await w.sign_in.password(login, password, client="192.0.2.9", request_id="req-2")
    return caught.value


async def make_every_kind(w: World) -> dict[str, tuple[str, str]]:
    """A login and a password for each way of being refused."""
    await w.pat()
    disabled = await w.users.add("disabled@example.com", by=BY, password=PASSWORD)
    await w.users.set_disabled(disabled.id, True, by=BY)
    await w.users.add("no-password@example.com", by=BY)
    broken = await w.users.add("damaged@example.com", by=BY, password=PASSWORD)
    await w.change(
        sa.update(tables.users).where(tables.users.c.id == broken.id).values(password_hash="{SHA}nonsense")
    )
    locked = await w.users.add("locked@example.com", by=BY, password=PASSWORD)
    await w.change(
        sa.update(tables.users).where(tables.users.c.id == locked.id).values(failures=5, locked_at=w.now)
    )
    return {
        "wrong_password": (LOGIN, OTHER_PASSWORD),
        "locked": ("locked@example.com", PASSWORD),
        "unknown_login": ("nobody@example.com", PASSWORD),
        "disabled": ("disabled@example.com", PASSWORD),
        "no_password": ("no-password@example.com", PASSWORD),
        "unreadable_hash": ("damaged@example.com", PASSWORD),
    }


def test_the_right_password_opens_the_account_under_any_spelling_of_the_login(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(roles=("ops", "audit"))
        for login in (LOGIN, "  PAT@Example.COM ", "\uff50at@example.com"):
            assert await w.sign_in.password(login, PASSWORD) == pat
        assert pat.roles == ("audit", "ops")

    tell(tmp_path, story)


def test_every_refusal_is_one_answer_and_one_verification(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        answers = set()
        for reason, (login, password) in (await make_every_kind(w)).items():
            w.hasher.verified.clear()
            error = await refused(w, login, password)
            answers.add((type(error), error.reason, str(error), tuple(error.__dict__)))
            assert len(w.hasher.verified) == 1
            last = (await w.rows(tables.audit_events))[-1]
            assert last["kind"] == "sign_in.failed"
            assert last["details"] == {"reason": reason}
            assert (last["client"], last["request_id"]) == ("192.0.2.9", "req-2")
        assert len(answers) == 1

    tell(tmp_path, story)


def test_every_refusal_asks_the_database_the_same_number_of_times(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        kinds = await make_every_kind(w)
        kinds["impossible login"] = ("a\x00b", PASSWORD)
        kinds["endless login"] = ("x" * 60_000, PASSWORD)
        kinds["endless password"] = (LOGIN, "x" * 60_000)
        asked: dict[str, list[str]] = {}
        for reason, (login, password) in kinds.items():
            statements = asked.setdefault(reason, [])

            def note(
                _c: object, _cur: object, statement: str, *_: object, to: list[str] = statements
            ) -> None:
                to.append(statement)

            sa.event.listen(sa.Engine, "before_cursor_execute", note)
            try:
                await refused(w, login, password)
            finally:
                sa.event.remove(sa.Engine, "before_cursor_execute", note)
        assert len({tuple(statements) for statements in asked.values()}) == 1
        assert asked["wrong_password"]

    tell(tmp_path, story)


@pytest.mark.parametrize("kind", ["locked", "disabled", "unknown_login", "no_password", "unreadable_hash"])
def test_where_no_password_can_be_right_the_dummy_is_verified(tmp_path: Path, kind: str) -> None:
    async def story(w: World) -> None:
        login, password = (await make_every_kind(w))[kind]
        w.hasher.verified.clear()
        await refused(w, login, password)
        assert w.hasher.verified == [w.hasher._dummy]

    tell(tmp_path, story)


def test_what_was_typed_into_the_login_field_is_not_kept_unless_it_is_an_account(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        await refused(w, PASSWORD, "")  # the password in the wrong field
        await refused(w, LOGIN, OTHER_PASSWORD)
        unknown, known = (await w.rows(tables.audit_events))[-2:]
        assert (unknown["login"], unknown["user_id"]) == ("", None)
        assert known["login"] == LOGIN

    tell(tmp_path, story)


def test_a_full_hashing_queue_answers_the_same_for_known_and_unknown(tmp_path: Path) -> None:
    async def told() -> None:
        async with world(tmp_path, CountingHasher(queue=1)) as w:
            await w.pat()
            gate = asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold() -> None:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)

            busy = asyncio.ensure_future(w.hasher.run(hold))
            await asyncio.sleep(0)
            for login in (LOGIN, "nobody@example.com"):
                with pytest.raises(Overloaded):
                    await w.sign_in.password(login, PASSWORD)
            gate.set()
            await busy
            await w.sign_in.password(LOGIN, PASSWORD)

    asyncio.run(told())


def test_an_old_hash_is_made_anew_at_sign_in_and_only_then(tmp_path: Path) -> None:
    async def told() -> None:
        async with world(tmp_path) as w:
            await w.pat()
            before = (await w.rows(tables.users))[0]
            dearer = CountingHasher(Cost(memory_kib=128, passes=1))
            later = w.sign_in_with(dearer)
            w.now += 60
            with pytest.raises(InvalidCredentials):
                await later.password(LOGIN, OTHER_PASSWORD)
            assert dearer.hashed == 0
            await later.password(LOGIN, PASSWORD)
            after = (await w.rows(tables.users))[0]
            assert after["password_hash"].startswith("$argon2id$v=19$m=128,t=1,p=1$")
            assert (
                after["password_changed_at"] == before["password_changed_at"]
            )  # the password did not change
            assert after["session_epoch"] == before["session_epoch"]
            await later.password(LOGIN, PASSWORD)
            assert dearer.hashed == 1
            dearer.close()

    asyncio.run(told())


@pytest.mark.parametrize("change", ["disable", "password", "delete"])
def test_a_change_while_the_password_is_verified_is_obeyed(tmp_path: Path, change: str) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()

        async def meanwhile() -> None:
            w.hasher.before_answer = None
            if change == "disable":
                await w.users.set_disabled(pat.id, True, by=BY)
            elif change == "delete":
                await w.users.delete(pat.id, by=BY)
            else:
                await w.users.set_password(pat.id, OTHER_PASSWORD, by=BY)

        w.hasher.before_answer = meanwhile
        await refused(w, LOGIN, PASSWORD)
        assert (await w.rows(tables.audit_events))[-1]["details"] == {"reason": "changed_meanwhile"}

    tell(tmp_path, story)


def test_without_its_database_nobody_is_signed_in(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        await w.db.close()
        with pytest.raises(StoreUnavailable):
            await w.sign_in.password(LOGIN, PASSWORD)

    tell(tmp_path, story)
