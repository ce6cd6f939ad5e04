"""`./run bench --mixed`: what people who work feel while others sign in.

Pages are asked for at a fixed rate on kept connections, and timed from the moment each was due, so that a
server that stands still cannot hide the requests it held up. Gatekeeper, the application and this program
share all cores.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import servers

LIMIT_MS = 50.0
READERS = 8


class Pages:
    """Threads that ask for one page at a fixed rate in all, until the block ends."""

    def __init__(self, port: int, cookie: str, rate: float) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._port, self._cookie, self._every = port, cookie, READERS / rate
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(READERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, number: int) -> None:
        due = time.perf_counter() + self._every * number / READERS
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        ) as connection:
            while not self._stop.wait(max(0.0, due - time.perf_counter())):
                connection.request("GET", "/1k", headers={"Cookie": self._cookie})
                answer = connection.getresponse()
                if answer.status != 200 or len(answer.read()) != servers.SIZES["1k"]:
                    self.failed += 1
                self.seconds.append(time.perf_counter() - due)
                due += self._every


def repeat(work: Callable[[], object], rate: float, seconds: float) -> tuple[int, int]:
    """Start `work` at a fixed rate in threads of its own; how many were done, and how many failed."""
    done, failed, threads = [0], [0], []
    lock = threading.Lock()

    def once() -> None:
        try:
            work()
        except (OSError, RuntimeError, http.client.HTTPException):
            with lock:
                failed[0] += 1
        else:
            with lock:
                done[0] += 1

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        threads.append(threading.Thread(target=once))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return done[0], failed[0]


def measure(port: int, cookie: str, pages: float, sign_ins: float, seconds: float) -> tuple[Pages, int, int]:
    asked = Pages(port, cookie, pages)
    with asked.running():
        done, failed = repeat(lambda: servers.sign_in(port), sign_ins, seconds) if sign_ins else (0, 0)
        if not sign_ins:
            time.sleep(seconds)
    return asked, done, failed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench --mixed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--pages", type=float, default=200.0, help="a second")
    parser.add_argument("--sign-ins", type=float, default=20.0, help="a second")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatekeeper-bench-")))
        folder.chmod(0o755)
        application = stack.enter_context(servers.files(folder))
        server, cookie = stack.enter_context(
            servers.gatekeeper(folder, "mixed", application.port, pinned=False)
        )
        measure(server.port, cookie, options.pages, 0.0, 2.0)  # warms up
        rows = [
            (rate, *measure(server.port, cookie, options.pages, rate, options.seconds))
            for rate in (0.0, options.sign_ins)
        ]
    print("| Sign-ins a second | done | failed | pages | failed | median ms | 99 % ms | most ms |")
    print("|---:|" + "---:|" * 7)
    worst = 0.0
    for rate, asked, done, failed in rows:
        times = sorted(1000 * seconds for seconds in asked.seconds)
        high = times[int(len(times) * 0.99)]
        worst = max(worst, high)
        print(
            f"| {rate:.0f} | {done} | {failed} | {len(times)} | {asked.failed} "
            f"| {statistics.median(times):.1f} | {high:.1f} | {times[-1]:.1f} |"
        )
    load = f"load average {os.getloadavg()[0]:.1f}"
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {load}.")
    wrong = any(asked.failed or failed for _, asked, _, failed in rows)
    return 1 if worst > LIMIT_MS or wrong else 0
