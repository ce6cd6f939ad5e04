"""Logs: readable, one line each, and never a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pytest
import structlog

from gatekeeper.telemetry import logs
from gatekeeper.telemetry.access import FLUSH_LINES, AccessLog
from gatekeeper.telemetry.health import healthz, make_readyz

CANARY = "canary-7c1f"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, config = (root.handlers[:], root.level), structlog.get_config()
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.configure(**config)


def fail(password: str) -> None:
    secret = {"password": password}
    raise RuntimeError("broken", len(secret))


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(form: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    logs.configure("info", form, stream)
    try:
        fail(CANARY)
    except RuntimeError as error:
        structlog.get_logger("gatekeeper").error("internal server error", exc_info=error)
        logging.getLogger("uvicorn.error").error("failed", exc_info=error)
    assert "RuntimeError" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_uvicorns_messages_are_said_once() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    coloured = {"color_message": "Started server process [\x1b[36m%d\x1b[0m]"}
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra=coloured)
    line = json.loads(stream.getvalue())
    assert (line["event"], "color_message" in line) == ("Started server process [7]", False)


@pytest.mark.parametrize("key", ["password", "token", "Cookie", "authorization", "code"])
def test_a_value_under_a_secrets_name_is_taken_out(key: str) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger("gatekeeper").info("event", **{key: CANARY})
    assert json.loads(stream.getvalue())[key] == "[removed]"


class Line(NamedTuple):
    request_id: str = "r1"
    client: str = "192.0.2.7"
    method: str = "GET"
    path: str = "/orders\x1b[2J\n"
    status: int = 200
    outcome: str = "allow"
    rule: int | None = 0
    login: str = "ada"
    bytes: int = 5
    seconds: float = 0.0123


def access_lines(form: Literal["json", "console"], number: int) -> str:
    stream = io.StringIO()

    async def run() -> None:
        log = AccessLog(stream, form, lambda: 0.0)
        for _ in range(number):
            log(Line())
        if number < FLUSH_LINES:
            log.flush()

    asyncio.run(run())
    return stream.getvalue()


def test_an_access_line_is_one_line_whatever_the_path_holds() -> None:
    [line] = access_lines("json", 1).splitlines()
    assert json.loads(line)["path"] == "/orders\x1b[2J\n"
    assert json.loads(line)["ms"] == 12.3
    [shown] = access_lines("console", 1).splitlines()
    assert "\x1b" not in shown and "allow ada 12.3 ms" in shown


def test_access_lines_are_written_in_batches() -> None:
    assert len(access_lines("json", FLUSH_LINES).splitlines()) == FLUSH_LINES


@pytest.mark.parametrize(
    ("answers", "status", "text"), [((True, True), 200, "ready"), ((True, False), 503, "two")]
)
def test_readiness_names_what_is_missing(answers: tuple[bool, bool], status: int, text: str) -> None:
    async def first() -> bool:
        return answers[0]

    async def second() -> bool:
        return answers[1]

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def ask() -> None:
        await make_readyz({"one": first, "two": second})({"method": "GET"}, None, send)
        await healthz({"method": "HEAD"}, None, send)

    asyncio.run(ask())
    assert sent[0]["status"] == status
    assert text.encode() in sent[1]["body"]  # type: ignore[operator]
    assert sent[-1]["body"] == b""
