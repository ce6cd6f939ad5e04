"""`kill -9` in the middle of writes: the file stays whole, and nothing that was said to be done is undone."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.storage.migrate import migrate


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_writes_nothing_acknowledged_goes_back(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "gatekeeper.db"
    migrate(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO users (id, login, login_key, created_at) VALUES (1, 'ada', 'ada', 0)")
        db.commit()
    chance, acknowledged, written = random.Random(7), 0, 0
    for _ in range(kills):
        acknowledged = _write_until_killed(path, written, after=chance.randrange(1, 40)) or acknowledged
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            counter, epoch = db.execute("SELECT failures, session_epoch FROM users").fetchone()
            (used,) = db.execute("SELECT count(*) FROM tokens WHERE used_at IS NOT NULL").fetchone()
            (announced,) = db.execute("SELECT max(seq) FROM revocations").fetchone()
        # The one whose commit was not heard of any more may be there, but then whole.
        assert acknowledged <= counter <= acknowledged + 1
        assert counter == epoch == used == announced
        written = counter
    assert written > kills


def _write_until_killed(path: Path, number: int, *, after: int) -> int:
    """Kill the writer once so many commits were heard of; the last one that was."""
    heard = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.storage.writer", str(path), str(number)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            for _ in range(after):
                heard = int(process.stdout.readline())
        finally:
            process.kill()
        rest = process.stdout.read().split(b"\n")
    # What it said before it died counts too; the last line may be cut off.
    return max([heard, *(int(line) for line in rest[:-1])])
