"""One node on SQLite, and no room left on its disk: the application goes on, signing in waits."""

from __future__ import annotations

import contextlib
import http.client
import resource
import sqlite3
import time
from pathlib import Path

import pytest

from tests.cluster.application import application
from tests.cluster.traffic import until
from tests.seeds.client import Client
from tests.stack.process import Served, serving
from tests.stack.whole import PASSWORD

RECOVERED = 5.0
"""Seconds after which everything works again by itself once there is room."""
REMEMBERED = 30.0
"""Seconds for which `readyz` goes on telling of a failed write."""


class _Here:
    def __init__(self, served: Served) -> None:
        self.address = f"http://127.0.0.1:{served.port}"


def ask(served: Served, path: str, cookie: str = "") -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as client:
        client.request("GET", path, headers={"Cookie": cookie, "Sec-Fetch-Mode": "cors"})
        answer = client.getresponse()
        answer.read()
        return answer.status


def fill(pid: int) -> None:
    """No file may grow any more, nor be written anywhere; the log is one of them."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def make_room(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_full_disk_stops_signing_in_and_nothing_else(tmp_path: Path) -> None:
    with application() as upstream, serving(tmp_path, f"http://127.0.0.1:{upstream}") as served:
        known = Client(_Here(served))
        assert known.sign_in("ada", PASSWORD).status_code == 303
        somebody = Client(_Here(served))
        form = somebody.form("/_gate/login")
        fill(served.pid)

        began = time.monotonic()
        while time.monotonic() - began < 7.0:  # longer than activity waits to be written down
            assert ask(served, "/page", served.cookie) == 200
            time.sleep(0.05)
        answer = somebody.post("/_gate/login", {**form, "login": "ada", "password": PASSWORD})
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert "cannot reach its own records" in answer.text
        assert ask(served, "/_gate/readyz") == 503 and ask(served, "/_gate/healthz") == 200
        # Who could not be signed out is told so, and stays signed in: nobody believes to be out who is not.
        assert known.send("/_gate/logout").status_code == 503
        assert known.signed_in()

        make_room(served.pid)
        until(
            "people sign in again",
            lambda: (
                somebody.post("/_gate/login", {**form, "login": "ada", "password": PASSWORD}).status_code
                == 303
            ),
            RECOVERED,
        )
        assert known.send("/_gate/logout").status_code == 303 and not known.signed_in()
        assert ask(served, "/page", served.cookie) == 200
        until("it is ready", lambda: ask(served, "/_gate/readyz") == 200, REMEMBERED + 5.0)
        known.close()
        somebody.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "gatekeeper.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
