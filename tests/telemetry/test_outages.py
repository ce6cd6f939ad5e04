"""Why requests were answered 503 is in the log: a line a second for each reason. Time is an argument."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.errors import Overloaded, StoreUnavailable
from gatekeeper.telemetry.outages import OutageLines


class Bench:
    def __init__(self) -> None:
        self.now = 5.0
        self.seen: list[dict[str, Any]] = []
        self.lines = OutageLines(self, lambda: self.now)

    def error(self, event: str, /, **fields: Any) -> None:
        self.seen.append({"event": event, **fields})


def test_the_cause_is_told_with_the_request() -> None:
    bench = Bench()
    bench.lines.report("req-1", StoreUnavailable("the disk that holds the database is full"))
    assert bench.seen == [
        {
            "event": "answered 503",
            "reason": "store_unavailable",
            "error": "the disk that holds the database is full",
            "request_id": "req-1",
            "suppressed": 0,
        }
    ]


def test_a_flood_is_one_line_a_second_and_a_number() -> None:
    bench = Bench()
    for number in range(100):
        bench.lines.report(f"req-{number}", StoreUnavailable("down"))
    assert len(bench.seen) == 1
    bench.now += 1.0
    bench.lines.report("req-100", StoreUnavailable("down"))
    assert (bench.seen[-1]["request_id"], bench.seen[-1]["suppressed"]) == ("req-100", 99)
    bench.now += 1.0
    bench.lines.report("req-101", StoreUnavailable("down"))
    assert bench.seen[-1]["suppressed"] == 0


def test_one_reason_does_not_hide_another() -> None:
    bench = Bench()
    bench.lines.report("req-1", Overloaded("the queue is full"))
    bench.lines.report("req-2", StoreUnavailable("down"))
    assert [line["reason"] for line in bench.seen] == ["overloaded", "store_unavailable"]
