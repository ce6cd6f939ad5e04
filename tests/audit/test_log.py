"""Every security event is one row and one line, and no secret is in either."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.audit.events import EventKind
from gatekeeper.audit.log import AuditLog
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, World, tell

NAMES = {
    "sign_in.succeeded",
    "sign_in.failed",
    "sign_out",
    "session.revoked",
    "user.added",
    "user.deleted",
    "user.disabled",
    "user.enabled",
    "user.roles_changed",
    "password.set",
    "administrator_link.issued",
    "administrator_link.used",
    "administrator_link.refused",
    "form.refused",
}


def test_the_names_of_events_never_change() -> None:
    assert {kind.value for kind in EventKind} >= NAMES


def test_one_event_is_one_row_and_one_line_that_say_the_same(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.audit.record(
            EventKind.SIGNED_OUT,
            user_id=7,
            login=LOGIN,
            actor=LOGIN,
            client="192.0.2.7",
            request_id="req-1",
            details={"sessions": 2},
        )
        (row,) = await w.rows(tables.audit_events)
        (line,) = w.lines.seen
        assert row.pop("id") == 1
        assert line.pop("event") == "audit"
        assert line == row
        assert row["at"] == w.now
        assert row["details"] == {"sessions": 2}

    tell(tmp_path, story)


def test_a_row_in_the_callers_transaction_falls_with_it(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        with pytest.raises(ZeroDivisionError):
            async with w.db.begin() as conn:
                await w.audit.record(EventKind.USER_ADDED, conn=conn)
                raise ZeroDivisionError
        assert await w.rows(tables.audit_events) == []
        await w.audit.record(EventKind.SIGNED_OUT)
        assert [line["kind"] for line in w.lines.seen] == ["sign_out"], "and so does its line"

    tell(tmp_path, story)


def test_a_line_is_written_when_its_row_is_committed_and_not_before(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.db.begin() as conn:
            await w.audit.record(EventKind.USER_ADDED, conn=conn)
            await w.audit.record(EventKind.USER_INVITED, conn=conn)
            assert w.lines.seen == []
        assert [line["kind"] for line in w.lines.seen] == ["user.added", "user.invited"]

    tell(tmp_path, story)


@pytest.mark.sqlite
def test_a_full_disk_leaves_no_line_about_what_did_not_happen(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        async with w.db.begin() as conn:
            pages = await conn.scalar(sa.text("PRAGMA page_count"))
            await conn.execute(sa.text(f"PRAGMA max_page_count={pages}"))
        with pytest.raises(StoreUnavailable, match="full"):
            async with w.db.begin() as conn:
                await w.audit.record(EventKind.USER_ADDED, conn=conn)
                await conn.execute(sa.insert(tables.facts).values(name="big", value="v" * 100_000, at=1.0))
        assert w.lines.seen == []

    tell(tmp_path, story)


def test_a_line_is_one_line_of_json_whatever_a_client_sent(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        out = io.StringIO()
        logger = structlog.wrap_logger(
            structlog.PrintLogger(out), processors=[structlog.processors.JSONRenderer()]
        )
        audit = AuditLog(w.db, lambda: 1.0, logger)
        await audit.record(
            EventKind.FORM_REFUSED,
            client="192.0.2.7\n{}",
            request_id="\ud800\u2028",
            details={"origin": "x" * 100_000, "seen": ["a\r\nb"]},
        )
        (line,) = out.getvalue().splitlines()
        written = json.loads(line)
        assert written["client"] == "192.0.2.7\n{}"
        assert written["request_id"].startswith("?")
        assert len(written["details"]["origin"]) == 512

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "name", ["password", "new_password", "Token", "reset_token", "client_secret", "code"]
)
def test_a_detail_named_like_a_secret_is_a_mistake_in_the_program(tmp_path: Path, name: str) -> None:
    async def story(w: World) -> None:
        with pytest.raises(ValueError, match="named like a secret"):
            await w.audit.record(EventKind.USER_ADDED, details={name: "x"})
        assert await w.rows(tables.audit_events) == []
        assert w.lines.seen == []

    tell(tmp_path, story)


@pytest.mark.parametrize("kind", [EventKind.FORM_REFUSED, EventKind.ADMINISTRATOR_LINK_REFUSED])
def test_a_flood_of_one_stranger_is_written_as_a_few_rows_and_a_number(
    tmp_path: Path, kind: EventKind
) -> None:
    async def story(w: World) -> None:
        for number in range(200):
            await w.audit.record(kind, client=f"2001:db8:1:2::{number:x}")
        assert await w.kinds() == [kind.value] * 10
        assert len(w.lines.seen) == 10
        await w.audit.record(kind, client="192.0.2.9", details={"why": "foreign"})
        last = (await w.rows(tables.audit_events))[-1]
        assert last["details"] == {"why": "foreign", "not_recorded": 190}
        w.now += 6.0
        await w.audit.record(kind, client="2001:db8:1:2::1")
        last = (await w.rows(tables.audit_events))[-1]
        assert (last["client"], last["details"]) == ("2001:db8:1:2::1", {})

    tell(tmp_path, story)


def test_a_flood_takes_no_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(w: World) -> None:
        for number in range(100):
            await w.audit.record(EventKind.FORM_REFUSED, client=f"192.0.2.{number}")
        assert len(await w.kinds()) == 60, "in all"
        monkeypatch.setattr(w.db, "begin", None)
        await w.audit.record(EventKind.FORM_REFUSED, client="192.0.2.200")

    tell(tmp_path, story)


def test_what_strangers_cause_keeps_nothing_else_out_of_the_log(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        for _ in range(20):
            await w.audit.record(EventKind.FORM_REFUSED, client="192.0.2.9")
            await w.audit.record(EventKind.SIGNED_OUT, client="192.0.2.9")
        await w.audit.record(EventKind.ADMINISTRATOR_LINK_REFUSED, client="192.0.2.9")
        kinds = await w.kinds()
        assert kinds.count("sign_out") == 20
        assert kinds[-1] == "administrator_link.refused"

    tell(tmp_path, story)


def test_what_could_not_be_written_is_counted_with_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(w: World) -> None:
        for _ in range(12):
            await w.audit.record(EventKind.FORM_REFUSED, client="192.0.2.1")
        with monkeypatch.context() as broken:
            broken.setattr(w.db, "_open", False)
            with pytest.raises(StoreUnavailable):
                await w.audit.record(EventKind.FORM_REFUSED, client="192.0.2.2")
        await w.audit.record(EventKind.FORM_REFUSED, client="192.0.2.3")
        assert (await w.rows(tables.audit_events))[-1]["details"] == {"not_recorded": 3}

    tell(tmp_path, story)


@pytest.mark.sqlite
def test_canary_no_password_or_token_reaches_rows_lines_or_the_database_file(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        first, second, wrong = "canary-first-7Qx", "canary-second-8Rz", "canary-wrong-9Sy"
        token = await w.link.issue()
        assert token is not None
        with pytest.raises(AccountError):
            await w.link.redeem(token, LOGIN, "", "", "canary-" * 3 + LOGIN)
        with pytest.raises(AccountError):
            await w.link.redeem(token + "x", LOGIN, "", "", first)
        admin = await w.link.redeem(token, LOGIN, "", "", first)
        await w.sign_in.password(LOGIN, first)
        for login, password in ((LOGIN, wrong), ("nobody", wrong), (first, wrong)):
            with pytest.raises(InvalidCredentials) as refused:
                await w.sign_in.password(login, password)
            assert "canary" not in str(refused.value)
        await w.users.set_password(admin.id, second, by=BY)
        await w.sign_in.password(LOGIN, second)
        await w.users.delete(admin.id, by=BY)

        kept = json.dumps([w.lines.seen, await w.rows(tables.audit_events)])
        assert len(w.lines.seen) == len(await w.rows(tables.audit_events)) > 8
        for file in tmp_path.iterdir():
            kept += file.read_bytes().decode("latin-1")
        assert "argon2id" in kept  # the files were really read
        assert "canary" not in kept
        assert token not in kept

    tell(tmp_path, story)


def test_failed_sign_ins_in_parallel_are_all_written_down(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pat()
        outcomes = await asyncio.gather(
            *(w.sign_in.password(LOGIN, f"guess {number}") for number in range(20)), return_exceptions=True
        )
        assert all(isinstance(outcome, InvalidCredentials) for outcome in outcomes)
        assert (await w.kinds()).count("sign_in.failed") == 20

    tell(tmp_path, story)
