"""`./run bench` measures every row beside nginx and HAProxy, on real servers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.__main__ import Measure, report
from bench.behind import ASKING
from bench.behind import report as report_behind
from bench.processes import family

ROOT = Path(__file__).resolve().parents[2]
ROWS = (
    "forward auth: nginx's question",
    "answer without",
    "GET, 1 KB",
    "GET, 100 KB",
    "GET, 100 MB",
    "WebSocket echo",
    "sign-in",
    "idle",
)


def test_the_whole_table_is_printed() -> None:
    missing = [name for name in ("nginx", "haproxy", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    command = [sys.executable, "-m", "bench", "--rounds", "1", "--seconds", "0.2", "--idle", "100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    table, behind = done.stdout.split("| CPU of nginx and Gatekeeper together", 1)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert lines[0] == "| CPU | nginx | HAProxy | Gatekeeper | to nginx | to HAProxy |"
    assert len(lines) == 2 + len(ROWS)
    for line, title in zip(lines[2:], ROWS, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert title in cells[0]
        assert re.fullmatch(r"[0-9]+\.[0-9]", cells[3])
        compared = cells[1:3] + cells[4:]
        assert all(re.fullmatch(r"[0-9]+\.[0-9]+|–", cell) for cell in compared)

    figures = [line for line in behind.splitlines() if line.startswith("| proxied GET")]
    assert len(figures) == 2
    for line in figures:
        assert len(re.findall(r"[0-9]+\.[0-9] \([0-9]+\.[0-9]{2}\)", line)) == 3


def test_what_nginx_and_gatekeeper_cost_together_is_compared_with_nginx_alone() -> None:
    names = ["nginx", *ASKING.values()]
    figures = {"a page, µs": dict(zip(names, ([10.0, 11.0, 90.0], [22.0], [16.5, 5.0, 20.0]), strict=True))}
    assert "| a page, µs | 11.0 (1.00) | 22.0 (2.00) | 16.5 (1.50) |" in report_behind(figures, 3)


def test_a_servers_children_are_counted() -> None:
    """`gatekeeper serve` works in a child."""
    shell = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"], start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while len(family(shell.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(family(shell.pid)) == 2
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def test_ratios_are_of_medians() -> None:
    measure = Measure("a", "µs", 1e6, lambda server, cookie: 1.0)
    measure.figures = {"nginx": [1, 2, 90], "HAProxy": [4, 4, 4], "Gatekeeper": [5, 6, 7]}
    memory = {"nginx": 1.0, "HAProxy": 2.0, "Gatekeeper": 4.0}
    text = report({"a": measure}, memory, 3)
    assert "| a, µs | 2.0 | 4.0 | 6.0 | 3.00 | 1.50 |" in text
    assert "| 1.0 | 2.0 | 4.0 | 4.00 | 2.00 |" in text
