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
