"""A database that cannot be written: said to the person, to the operator, and to the load balancer."""

from __future__ import annotations

import http.client
import re
import urllib.parse
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from gatekeeper.build import report
from gatekeeper.build.services import Services
from gatekeeper.telemetry.outages import OutageLines
from tests.stack.whole import PASSWORD, Whole, whole


def ask(
    gate: Whole, method: str, path: str, form: dict[str, str] | None = None, cookie: str = ""
) -> tuple[int, str, str]:
    """Status, text, and the first cookie that was set."""
    connection = http.client.HTTPConnection(gate.host, timeout=20)
    try:
        headers = {"origin": f"http://{gate.host}", "sec-fetch-mode": "navigate", "accept": "text/html"}
        if cookie:
            headers["cookie"] = cookie
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        body = urllib.parse.urlencode(form) if form is not None else None
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), (answer.getheader("set-cookie") or "").split(";")[0]
    finally:
        connection.close()


def test_a_full_disk_is_told_to_everybody_whom_it_concerns(
    tmp_path: Path, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    with whole(tmp_path, echo) as gate, structlog.testing.capture_logs() as lines:
        monkeypatch.setattr(report, "_outages", OutageLines(structlog.get_logger(), lambda: now[0]))
        gate.add_user("pat")
        _, page, cookie = ask(gate, "GET", "/_gate/login")
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf is not None
        assert ask(gate, "GET", "/_gate/readyz")[:2] == (200, "ready\n")

        async def read_only(services: Services) -> None:
            async with services.db.begin() as conn:
                await conn.execute(sa.text("PRAGMA query_only=ON"))

        gate.call(read_only)
        form = {"csrf": csrf[1], "login": "pat", "password": PASSWORD, "next": "/"}
        status, page, _ = ask(gate, "POST", "/_gate/login", form, cookie)
        assert status == 503
        assert "cannot reach its own records" in page and "busy." not in page
        told = [line for line in lines if line["event"] == "answered 503"]
        assert [(line["reason"], line["error"]) for line in told] == [
            ("store_unavailable", "the database file or its folder cannot be written")
        ]
        assert told[0]["request_id"]
        assert ask(gate, "GET", "/_gate/readyz")[:2] == (503, "not ready: database\n")
