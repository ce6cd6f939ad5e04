"""`./run test`: every check and every test suite, two at a time, each named and timed.

A suite's output is shown when it fails; the table at the end says what ran. Exits 0 only when everything did
and passed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LANES = 2
NO_TESTS = 5
"""pytest's exit code when nothing was collected, as in a suite of slow tests only."""
LONGEST_FIRST = ("seeds", "browser", "core", "packaging", "accounts", "pages")


@dataclass(frozen=True)
class Suite:
    name: str
    command: tuple[str, ...]
    is_pytest: bool = False


@dataclass(frozen=True)
class Result:
    suite: Suite
    code: int
    seconds: float
    output: str
    passed: int
    failed: int
    skipped: int

    @property
    def ok(self) -> bool:
        return self.failed == 0 and self.code in (0, NO_TESTS if self.suite.is_pytest else 0)


def checks() -> list[Suite]:
    return [
        Suite("types", (str(BIN / "mypy"),)),
        Suite("lint", (str(BIN / "ruff"), "check", ".")),
        Suite("format", (str(BIN / "ruff"), "format", "--check", ".")),
        Suite("imports", (str(BIN / "lint-imports"),)),
    ]


def pytest_suites(everything: bool) -> list[Suite]:
    """One suite for each folder of tests/ that holds tests."""
    folders = sorted(
        {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("*/test_*.py")}
    )
    folders.sort(key=lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST))
    options = ("--all",) if everything else ()
    return [
        Suite(name, (sys.executable, "-m", "pytest", f"tests/{name}", *options), True) for name in folders
    ]


class Runner:
    """Runs suites in their own process groups, so that an interruption leaves nothing behind."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, suite: Suite) -> Result:
        with tempfile.TemporaryDirectory(prefix="suite-") as folder:
            report, log = Path(folder) / "report.xml", Path(folder) / "log"
            command = list(suite.command)
            if suite.is_pytest:
                command += [f"--junitxml={report}", "-o", "faulthandler_timeout=240", "--color=no"]
            began = time.monotonic()
            code = self._execute(command, log)
            seconds = time.monotonic() - began
            passed, failed, skipped = _counts(report, code) if suite.is_pytest else (code == 0, code != 0, 0)
            output = log.read_text(errors="replace")
        return Result(suite, code, seconds, output, int(passed), int(failed), skipped)

    def _execute(self, command: list[str], log: Path) -> int:
        with log.open("wb") as target:
            with self._lock:
                if self._stopped:
                    return 130
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=target,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                target.write(f"\nstopped after {self._timeout:.0f} s\n".encode())
                _kill(process)
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _counts(report: Path, code: int) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a pytest run; one failure when it broke off without a report."""
    try:
        suite = ET.parse(report).getroot().find("testsuite")
    except (FileNotFoundError, ET.ParseError):
        suite = None
    if suite is None:
        return 0, 1, 0
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    skipped = int(suite.get("skipped", 0))
    passed = int(suite.get("tests", 0)) - failed - skipped
    if code not in (0, NO_TESTS):
        failed = max(failed, 1)
    return max(passed, 0), failed, skipped


def _line(result: Result) -> str:
    state = "ok" if result.ok else "FAILED"
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    counts = f"{result.passed} passed, {result.failed} failed{skipped}" if result.suite.is_pytest else ""
    return f"{state:7} {result.suite.name:12} {result.seconds:7.1f} s  {counts}".rstrip()


def _summary(results: Iterable[Result], wanted: int, seconds: float) -> int:
    results = sorted(results, key=lambda result: result.suite.name)
    print(f"\nSuites that ran ({len(results)} of {wanted}), {seconds:.0f} s:")
    for result in results:
        print("  " + _line(result))
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    if skipped:
        print(f"  {skipped} skipped: see the suites above")
    print(f"\n{passed} passed, {failed} failed", flush=True)
    return 0 if len(results) == wanted and all(result.ok for result in results) else 1


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run test", description="Run every check and every test suite.")
    parser.add_argument("--all", action="store_true", help="also the slow tests")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="only these (default: all of them)")
    options = parser.parse_args(arguments)
    chosen = [*pytest_suites(options.all), *checks()]
    names = [suite.name for suite in chosen]
    unknown = [name for name in options.suites if name not in names]
    if unknown:
        parser.error(f"no suite {unknown[0]!r}; there are: {', '.join(sorted(names))}")
    if options.suites:
        chosen = [suite for suite in chosen if suite.name in options.suites]

    began = time.monotonic()
    print(
        f"Running {len(chosen)} suites, {LANES} at a time: {', '.join(suite.name for suite in chosen)}",
        flush=True,
    )
    runner = Runner(timeout=7200.0 if options.all else 1200.0)
    results: list[Result] = []
    with ThreadPoolExecutor(LANES) as lanes:
        try:
            for future in as_completed([lanes.submit(runner.run, suite) for suite in chosen]):
                result = future.result()
                results.append(result)
                if not result.ok:
                    print(f"\n----- {result.suite.name} -----\n{result.output.rstrip()}\n-----")
                print(_line(result), flush=True)
        except KeyboardInterrupt:
            runner.stop()
            print("interrupted", flush=True)
            return 130
    return _summary(results, len(chosen), time.monotonic() - began)


if __name__ == "__main__":
    # SIGTERM ends the suites too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
