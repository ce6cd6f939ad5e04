"""The access log: one line a request, buffered, because a logging call costs more than the decision."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO

from gatekeeper.core.clock import Clock

FLUSH_SECONDS = 0.25
FLUSH_LINES = 256


class AccessLine(Protocol):
    """What the log needs of a finished request (see `gate.shell.Line`). Never the query."""

    @property
    def request_id(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def outcome(self) -> str: ...
    @property
    def rule(self) -> int | None: ...
    @property
    def login(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class AccessLog:
    """Formats at flush time, at the latest after FLUSH_SECONDS; `flush` again at the end of the process."""

    def __init__(self, stream: TextIO, form: Literal["json", "console"], clock: Clock) -> None:
        self._stream = stream
        self._format = self._json if form == "json" else self._console
        self._clock = clock
        self._lines: list[tuple[float, AccessLine]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, line: AccessLine) -> None:
        self._lines.append((self._clock(), line))
        if len(self._lines) >= FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("".join(self._format(at, line) for at, line in lines))
            self._stream.flush()

    @staticmethod
    def _json(at: float, line: AccessLine) -> str:
        record = {
            "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            "event": "request",
            "request_id": line.request_id,
            "client": line.client,
            "method": line.method,
            "path": line.path,
            "status": line.status,
            "outcome": line.outcome,
            "rule": line.rule,
            "login": line.login,
            "bytes": line.bytes,
            "ms": round(line.seconds * 1000, 2),
        }
        return json.dumps(record) + "\n"

    @staticmethod
    def _console(at: float, line: AccessLine) -> str:
        when = datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")
        # A path may hold anything a client typed: escapes must not reach the terminal.
        path = line.path.encode("unicode_escape").decode("ascii")
        who = f" {line.login}" if line.login else ""
        return (
            f"{when} {line.method} {path} {line.status} {line.outcome}{who} "
            f"{line.seconds * 1000:.1f} ms {line.request_id}\n"
        )
