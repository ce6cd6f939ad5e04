"""`./run bench`: CPU of each server for the same work, in interleaved rounds; medians and ratios."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import behind, load, servers
from bench.processes import Server, cores, descriptors

RATIO_TO = "nginx"


@dataclass
class Measure:
    """One row of the table: the same work through each server. `per` names what the figure is for."""

    title: str
    per: str
    unit: float
    work: Callable[[Server, str], float]
    """Puts load on the server with this Cookie header; how many pieces of work were done."""
    figures: dict[str, list[float]] = field(default_factory=dict)

    def once(self, server: Server, cookie: str) -> None:
        before = server.cpu_seconds()
        done = self.work(server, cookie)
        self.figures.setdefault(server.name, []).append((server.cpu_seconds() - before) / done * self.unit)


def measures(seconds: float) -> dict[str, Measure]:
    def get(path: str) -> Callable[[Server, str], float]:
        return lambda server, cookie: load.requests(server.port, path, seconds, cookie)

    return {
        "question": Measure("forward auth: nginx's question", "µs a request", 1e6, _questions(seconds)),
        "auth": Measure("answer without the application", "µs a request", 1e6, get("/auth")),
        "1k": Measure("proxied GET, 1 KB", "µs a request", 1e6, get("/1k")),
        "100k": Measure("proxied GET, 100 KB", "µs a request", 1e6, get("/100k")),
        "100m": Measure(
            "proxied GET, 100 MB",
            "µs a MB",
            1e6,
            lambda server, cookie: load.download(server.port, "/100m", 3, cookie) / 1e6,
        ),
        "ws": Measure(
            "WebSocket echo, 100 bytes",
            "µs a message and back",
            1e6,
            lambda server, cookie: load.echoes(server.port, seconds, cookie),
        ),
        "sign-in": Measure("sign-in", "ms each", 1e3, _sign_ins),
    }


def _questions(seconds: float) -> Callable[[Server, str], float]:
    """What nginx asks about each request (deploy/nginx), put to all of them: the others say yes unread."""

    def ask(server: Server, cookie: str) -> float:
        headers = {
            "X-Original-Method": "GET",
            "X-Original-Scheme": "http",
            "X-Original-Host": f"127.0.0.1:{server.port}",
            "X-Original-URI": "/orders?open=1",
            "X-Forwarded-For": "127.0.0.1",
        }
        return load.requests(server.port, servers.QUESTION, seconds, cookie, headers)

    return ask


def _sign_ins(server: Server, _cookie: str) -> float:
    for _ in range(10):
        servers.sign_in(server.port)
    return 10


def run_behind(rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """µs of CPU by row and server: nginx alone, and nginx that asks Gatekeeper."""
    table = {key: measure for key, measure in measures(seconds).items() if key in ("1k", "100k")}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatekeeper-bench-")))
        folder.chmod(0o755)
        application = stack.enter_context(servers.files(folder))
        alone = stack.enter_context(servers.nginx_proxy(folder, application.port, application.port))
        asking = [
            stack.enter_context(behind.asking(folder, mode, application.port)) for mode in behind.ASKING
        ]
        for number in range(rounds + 1):
            for measure in table.values():
                for server, cookie in [(alone, ""), *asking]:
                    measure.once(server, cookie)
                if number == 0:
                    measure.figures.clear()
            print(f"behind nginx, round {number} of {rounds}", file=sys.stderr, flush=True)
    return {f"{measure.title}, {measure.per}": measure.figures for measure in table.values()}


def run(rounds: int, seconds: float, idle: int) -> tuple[dict[str, Measure], dict[str, float]]:
    """All measures, and KiB for each of `idle` idle connections by server."""
    table = measures(seconds)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatekeeper-bench-")))
        folder.chmod(0o755)  # nginx's worker runs as another user when started by root
        application = stack.enter_context(servers.files(folder))
        echo = stack.enter_context(servers.echo())
        nginx = stack.enter_context(servers.nginx_proxy(folder, application.port, echo.port))
        haproxy = stack.enter_context(servers.haproxy(folder, application.port, echo.port))
        ours, cookie = stack.enter_context(servers.gatekeeper(folder, "proxy", application.port))
        gate, gate_cookie = stack.enter_context(
            servers.gatekeeper(folder, "auth", application.port, auth=True)
        )
        talk, talk_cookie = stack.enter_context(servers.gatekeeper(folder, "websocket", echo.port))
        proxies = [(nginx, ""), (haproxy, ""), (ours, cookie)]
        subjects = {
            "question": [(nginx, ""), (haproxy, ""), (ours, cookie)],
            "auth": [(nginx, ""), (haproxy, ""), (gate, gate_cookie)],
            "ws": [(nginx, ""), (haproxy, ""), (talk, talk_cookie)],
            "sign-in": [(ours, cookie)],
        }
        for number in range(rounds + 1):
            for key, measure in table.items():
                for server, header in subjects.get(key, proxies):
                    measure.once(server, header)
            if number == 0:
                for measure in table.values():
                    measure.figures.clear()  # the first round warms up
            print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        memory = {server.name: _idle_kib(server, header, idle) for server, header in proxies}
    return table, memory


def _idle_kib(server: Server, cookie: str, number: int) -> float:
    """KiB of memory for each idle keep-alive connection that has had one answer."""
    if server.name == "HAProxy":
        number = min(number, descriptors() // 2 - 100)
    head = f"GET /1k HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    request = (head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode()
    before, clients = server.resident_kib(), []
    try:
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", server.port), 30)
            clients.append(client)
            client.sendall(request)
            received = 0
            while received < servers.SIZES["1k"]:
                received += len(client.recv(65_536))
        return (server.resident_kib() - before) / number
    finally:
        for client in clients:
            client.close()


def report(table: dict[str, Measure], memory: dict[str, float], rounds: int) -> str:
    """The Markdown table: medians, and Gatekeeper's ratio to each of the others."""
    names = ["nginx", "HAProxy", "Gatekeeper"]
    lines = [
        f"| CPU | {' | '.join(names)} | to nginx | to HAProxy |",
        "|---|" + "---:|" * (len(names) + 2),
    ]
    for measure in table.values():
        medians = {name: statistics.median(values) for name, values in measure.figures.items()}
        cells = [f"{medians[name]:.1f}" if name in medians else "–" for name in names]
        ratios = [
            f"{medians['Gatekeeper'] / medians[name]:.2f}" if medians.get(name) else "–" for name in names[:2]
        ]
        lines.append(f"| {measure.title}, {measure.per} | {' | '.join([*cells, *ratios])} |")
    cells = [f"{memory[name]:.1f}" for name in names]
    ratios = [f"{memory['Gatekeeper'] / max(memory[name], 0.1):.2f}" for name in names[:2]]
    lines.append(f"| idle keep-alive connection, KiB of memory | {' | '.join([*cells, *ratios])} |")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    foot = (
        f"Median of {rounds} interleaved rounds, {load.CONNECTIONS} connections, one process pinned to one "
        f"core, load and application on the other ({machine}). Ratios count; single figures drift."
    )
    return "\n".join([*lines, "", foot])


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each server in each round")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections to measure memory with")
    parser.add_argument("--save", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--behind", action="store_true", help="only: nginx that asks Gatekeeper")
    parser.add_argument("--timing", action="store_true", help="only: do answers' times tell accounts?")
    parser.add_argument("--mixed", action="store_true", help="only: pages while others sign in")
    parser.add_argument("--number", type=int, default=300, help="for --timing: accounts of each kind")
    options = parser.parse_args()
    if options.timing:
        from bench.timing import main as timing

        return timing(["--number", str(options.number)])
    if options.mixed:
        from bench.mixed import main as mixed

        return mixed([])
    missing = [name for name in ("nginx", "haproxy", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        print(f"./run bench needs {', '.join(missing)} (Debian packages of these names)", file=sys.stderr)
        return 1
    if cores()[0] == cores()[1]:
        print("one core only: load and server share it, so the figures mean little", file=sys.stderr)
    descriptors()
    if not options.behind:
        table, memory = run(options.rounds, options.seconds, options.idle)
        _tell("table", report(table, memory, options.rounds), save=options.save)
    figures = run_behind(options.rounds, options.seconds)
    _tell("behind nginx", behind.report(figures, options.rounds), save=options.save)
    return 0


def _tell(mark: str, text: str, *, save: bool) -> None:
    """Print the table; write it between its two marks, so that the words around it stay."""
    print(text, end="\n\n")
    if not save:
        return
    path = servers.ROOT / "docs" / "performance.md"
    begin, end = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
    page = path.read_text() if path.exists() else f"# Performance\n\n{begin}{end}\n"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:  # the words after the table would be lost
        raise SystemExit(f"{path} has no table between {begin.strip()} and {end.strip()}")
    path.write_text(before + begin + text + end + after)


if __name__ == "__main__":
    sys.exit(main())
