"""`./run bench` measures every row beside nginx and HAProxy, on real servers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import Measure, report

ROOT = Path(__file__).resolve().parents[2]
ROWS = ("answer without", "GET, 1 KB", "GET, 100 KB", "GET, 100 MB", "WebSocket echo", "sign-in", "idle")


def test_the_whole_table_is_printed() -> None:
    missing = [name for name in ("nginx", "haproxy", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    command = [sys.executable, "-m", "bench", "--rounds", "1", "--seconds", "0.2", "--idle", "100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert lines[0] == "| CPU | nginx | HAProxy | Gatekeeper | to nginx | to HAProxy |"
    assert len(lines) == 2 + len(ROWS)
    for line, title in zip(lines[2:], ROWS, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert title in cells[0]
        assert re.fullmatch(r"[0-9]+\.[0-9]", cells[3])
        compared = cells[1:3] + cells[4:]
        assert all(re.fullmatch(r"[0-9]+\.[0-9]+|–", cell) for cell in compared)


def test_ratios_are_of_medians() -> None:
    measure = Measure("a", "µs", 1e6, lambda server, cookie: 1.0)
    measure.figures = {"nginx": [1, 2, 90], "HAProxy": [4, 4, 4], "Gatekeeper": [5, 6, 7]}
    memory = {"nginx": 1.0, "HAProxy": 2.0, "Gatekeeper": 4.0}
    text = report({"a": measure}, memory, 3)
    assert "| a, µs | 2.0 | 4.0 | 6.0 | 3.00 | 1.50 |" in text
    assert "| 1.0 | 2.0 | 4.0 | 4.00 | 2.00 |" in text
