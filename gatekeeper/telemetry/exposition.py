"""The boards as Prometheus reads them: one sum over all processes, since the start of the installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.board import Boards

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STALE = 5.0
"""Seconds after which a process that wrote nothing counts as stuck."""


class Exposition:
    """A collector (`prometheus_client.registry.Collector`) over boards."""

    def __init__(self, boards: Boards, version: str, *, processes: int) -> None:
        self._boards = boards
        self._version = version
        self._processes = processes
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def missing(self, now: float) -> list[str]:
        """What is missing for requests to be answered well, of any process; `now` is monotonic seconds."""
        alive = [board for board in self._boards.read()[1:] if board[at.ALIVE]]
        fresh = [board for board in alive if now - board[at.ALIVE] / 1000 < STALE]
        found = {
            part for board in fresh for bit, part in enumerate(at.PARTS) if board[at.MISSING] & (1 << bit)
        }
        if len(fresh) < min(self._processes, max(1, len(alive))) or not fresh:
            found.add("processes")
        return sorted(found)

    def collect(self) -> Iterator[Metric]:
        boards = self._boards.read()
        sums = [sum(column) for column in zip(*boards, strict=True)]
        yield from _counters(sums)
        yield from _gauges(boards[1:], sums)
        info = GaugeMetricFamily("gatekeeper_build_info", "Always 1.", labels=["version", "python"])
        info.add_metric([self._version, ".".join(map(str, sys.version_info[:3]))], 1)
        yield info


def _counters(sums: Sequence[int]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "gatekeeper_request_seconds", "Time until a request was answered whole.", labels=["outcome"]
    )
    names = [*(repr(bound) for bound in at.BOUNDS), "+Inf"]
    for index, outcome in enumerate(at.OUTCOMES):
        start = at.REQUESTS + index * at.WIDTH
        counts = list(accumulate(sums[start : start + at.BUCKETS]))
        seconds.add_metric(
            [outcome], list(zip(names, map(float, counts), strict=True)), sums[start + at.BUCKETS] / 1e6
        )
    yield seconds
    for name, text, label, values, start in (
        (
            "gatekeeper_refused",
            "Connections and bytes refused by the server.",
            "reason",
            at.REFUSALS,
            at.REFUSED,
        ),
        (
            "gatekeeper_upstream_errors",
            "Requests that the application did not answer.",
            "reason",
            at.UPSTREAM_ERRORS,
            at.FAILED_UPSTREAM,
        ),
        ("gatekeeper_security_events", "Events in the audit log.", "kind", at.EVENTS, at.HAPPENED),
    ):
        family = CounterMetricFamily(name, text, labels=[label])
        for index, value in enumerate(values):
            family.add_metric([value], sums[start + index])
        yield family
    sign_ins = CounterMetricFamily("gatekeeper_sign_ins", "Attempts to sign in.", labels=["method", "result"])
    for index, method in enumerate(at.METHODS):
        for offset, result in enumerate(at.RESULTS):
            sign_ins.add_metric([method, result], sums[at.SIGN_INS + index * len(at.RESULTS) + offset])
    yield sign_ins
    lookups = CounterMetricFamily("gatekeeper_session_lookups", "Sessions looked up.", labels=["source"])
    lookups.add_metric(["cache"], max(0, sums[at.LOOKUPS] - sums[at.LOADS]))
    lookups.add_metric(["store"], sums[at.LOADS])
    yield lookups
    for name, text, cell in (
        ("gatekeeper_lockouts", "Accounts locked.", at.HAPPENED + at.EVENTS.index("account.locked")),
        ("gatekeeper_store_errors", "Requests that a store did not answer.", at.STORE_ERRORS),
        ("gatekeeper_internal_errors", "Errors that nobody expected.", at.INTERNAL_ERRORS),
        ("gatekeeper_reloads", "Reloads that took effect.", at.RELOADS),
        ("gatekeeper_reloads_failed", "Reloads that were refused.", at.RELOADS_FAILED),
        ("gatekeeper_workers_died", "Worker processes that died.", at.WORKERS_DIED),
    ):
        yield CounterMetricFamily(name, text, value=sums[cell])


def _gauges(boards: Sequence[Sequence[int]], sums: Sequence[int]) -> Iterator[Metric]:
    alive = [board for board in boards if board[at.ALIVE]]
    for name, text, value in (
        ("gatekeeper_processes", "Processes that serve.", len(alive)),
        ("gatekeeper_websockets", "WebSockets open.", sums[at.WEBSOCKETS]),
        (
            "gatekeeper_event_loop_lag_seconds",
            "How late the latest process's event loop was in the last second.",
            max((board[at.LAG] for board in alive), default=0) / 1e6,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    pool = GaugeMetricFamily(
        "gatekeeper_upstream_connections",
        "Connections to applications, and requests waiting.",
        labels=["state"],
    )
    pool.add_metric(["busy"], sums[at.POOL_OPEN] - sums[at.POOL_IDLE])
    pool.add_metric(["idle"], sums[at.POOL_IDLE])
    pool.add_metric(["waiting"], sums[at.POOL_WAITING])
    yield pool
    # The same for every process: the one that asked last knows best.
    asked = max(alive, key=lambda board: board[at.ASKED_AT], default=None)
    if asked is not None and asked[at.ASKED_AT]:
        for name, text, cell in (
            ("gatekeeper_sessions", "Sessions that have not ended.", at.SESSIONS),
            ("gatekeeper_outbox_mails", "Mails waiting to be sent.", at.OUTBOX),
            ("gatekeeper_outbox_oldest_seconds", "Age of the oldest waiting mail.", at.OUTBOX_AGE),
        ):
            if asked[cell] >= 0:  # else unknown: no sample is better than a wrong one
                yield GaugeMetricFamily(name, text, value=asked[cell])
