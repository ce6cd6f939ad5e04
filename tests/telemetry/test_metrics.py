"""Counting: what is counted where, how cheaply, and that sums never go back."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from gatekeeper.core.context import Refusal, RequestContext
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.policy import Decision, Outcome
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.board import Boards
from gatekeeper.telemetry.exposition import Exposition
from gatekeeper.telemetry.metrics import CountingEmit, Metrics
from gatekeeper.telemetry.sampler import Sampler, Stored

SOURCE = Path(__file__).parents[2] / "gatekeeper"


def make(number: int = 2) -> tuple[Boards, Metrics, Exposition]:
    boards = Boards(number, at.CELLS)
    return boards, Metrics(boards.board(boards.take())), Exposition(boards, "1.2.3", processes=1)


def value(exposition: Exposition, sample: str) -> float:
    for line in exposition.text().decode().splitlines():
        if line.startswith(sample + " "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {sample}")


def context(refusal: Refusal | None = None, cookie: bytes | None = None) -> RequestContext:
    made = RequestContext("id", None)
    made.refusal, made.cookie = refusal, cookie
    return made


@pytest.mark.parametrize(
    ("decision", "refusal", "outcome"),
    [
        (Decision(Outcome.ALLOW, None), None, "allow"),
        (Decision(Outcome.SIGN_IN, None), None, "sign_in"),
        (Decision(Outcome.STEP_UP, None), None, "step_up"),
        (Decision(Outcome.FORBIDDEN, 1), Refusal(403, "forbidden"), "forbidden"),
        (None, None, "own_page"),
        (None, Refusal(400, "path_dot_segment"), "refused"),
        (None, Refusal(503, "store_unavailable"), "unavailable"),
        (Decision(Outcome.ALLOW, None), Refusal(503, "upstream_busy"), "upstream_error"),
        (Decision(Outcome.ALLOW, None), Refusal(504, "upstream_timeout"), "upstream_error"),
        (None, Refusal(500, "internal_error"), "error"),
    ],
)
def test_a_request_is_counted_by_how_it_ended(
    decision: Decision | None, refusal: Refusal | None, outcome: str
) -> None:
    _, metrics, exposition = make()
    metrics.request(decision, context(refusal), 0.02)
    name = f'gatekeeper_request_seconds_bucket{{le="%s",outcome="{outcome}"}}'
    assert value(exposition, name % "0.01") == 0 and value(exposition, name % "0.025") == 1
    assert value(exposition, f'gatekeeper_request_seconds_sum{{outcome="{outcome}"}}') == 0.02
    assert sum(metrics.cells[at.REQUESTS + at.BUCKETS :: at.WIDTH][: len(at.OUTCOMES)]) == 20_000


def test_why_the_application_did_not_answer_is_counted() -> None:
    _, metrics, exposition = make()
    metrics.request(None, context(Refusal(502, "upstream_tls")), 0.1)
    assert value(exposition, 'gatekeeper_upstream_errors_total{reason="upstream_tls"}') == 1


def test_what_a_process_counted_outlives_it_and_its_state_does_not() -> None:
    boards, metrics, exposition = make()
    metrics.allowed(0.001)
    metrics.cells[at.WEBSOCKETS] = 7
    metrics.cells[at.ALIVE] = 1
    sample = 'gatekeeper_request_seconds_count{outcome="allow"}'
    assert (value(exposition, sample), value(exposition, "gatekeeper_websockets")) == (1, 7)
    boards.retire(1, at.COUNTERS)
    assert (value(exposition, sample), value(exposition, "gatekeeper_websockets")) == (1, 0)
    assert boards.take() == 1 and value(exposition, "gatekeeper_processes") == 0


def test_signing_in_is_counted_by_method_and_result() -> None:
    class Quiet:
        def info(self, event: str, /, **fields: object) -> None:
            return

    _, metrics, exposition = make()
    emit = CountingEmit(Quiet(), metrics)
    for kind, details in (
        ("sign_in.succeeded", {"methods": "pwd otp"}),
        ("sign_in.failed", {"reason": "wrong_password"}),
        ("sign_in.failed", {"reason": "wrong_code", "method": "otp"}),
        ("sign_in.failed", {"reason": "no_role", "provider": "microsoft"}),
        ("account.locked", {}),
    ):
        emit.info("audit", kind=kind, details=details, login="pat@example.com")
    for method, result in (
        ("totp", "succeeded"),
        ("password", "failed"),
        ("totp", "failed"),
        ("provider", "failed"),
    ):
        assert value(exposition, f'gatekeeper_sign_ins_total{{method="{method}",result="{result}"}}') == 1
    assert value(exposition, "gatekeeper_lockouts_total") == 1
    assert b"pat@" not in exposition.text()


def test_whatever_is_unknown_becomes_no_label_of_its_own() -> None:
    _, metrics, exposition = make()
    before = len(exposition.text().splitlines())
    metrics.refused("something-new pat@example.com")
    metrics.happened("new.kind", {})
    metrics.failed(StoreUnavailable("x"))
    assert len(exposition.text().splitlines()) == before and b"pat@" not in exposition.text()
    assert value(exposition, 'gatekeeper_refused_total{reason="other"}') == 1
    assert value(exposition, "gatekeeper_store_errors_total") == 1


def test_every_reason_of_the_server_has_its_label() -> None:
    used = set()
    for file in (SOURCE / "gate/server").glob("*.py"):
        text = file.read_text()
        used |= set(re.findall(r'RequestRejected\(\s*\d+, "([a-z_]+)"', text))
        used |= set(re.findall(r'(?:refuse|report)\((?:\d+, )?"([a-z_]+)"', text))
    assert used and used <= set(at.REFUSALS), used - set(at.REFUSALS)


def test_counting_a_request_costs_no_more_than_microseconds() -> None:
    _, metrics, _ = make()
    decision, one = Decision(Outcome.ALLOW, None), context(cookie=b"x")
    best = 1.0
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(2000):
            metrics.request(decision, one, 0.003)
        best = min(best, (time.perf_counter() - began) / 2000)
    assert best < 5e-6  # far above what it takes: a timing test must not fail on a busy machine


def test_sessions_that_nobody_can_count_are_left_out_not_shown_as_none() -> None:
    async def story() -> None:
        _, metrics, exposition = make()

        async def well() -> bool:
            return True

        async def stored() -> Stored:
            return Stored(None, 2, 0.0)

        sampler = Sampler(metrics.cells, {}, {"sessions": well, "database": well}, stored)
        await sampler.sample(ask=True)
        text = exposition.text().decode()
        assert "gatekeeper_sessions " not in text and "gatekeeper_outbox_mails 2.0" in text

    asyncio.run(story())


def test_what_is_missing_is_named() -> None:
    async def story() -> None:
        _, metrics, exposition = make()
        well = {"sessions": True, "database": True}

        async def sessions() -> bool:
            return well["sessions"]

        async def database() -> bool:
            return well["database"]

        async def stored() -> Stored:
            if not well["database"]:
                raise StoreUnavailable("gone")
            return Stored(5, 2, 61.5)

        ready = {"sessions": sessions, "database": database}
        sampler = Sampler(metrics.cells, {at.WEBSOCKETS: lambda: 3}, ready, stored, monotonic=lambda: 100.0)
        assert exposition.missing(100.0) == ["processes"]
        await sampler.sample(ask=True)
        assert exposition.missing(101.0) == []
        assert exposition.missing(106.0) == ["processes"]  # it has not written for a while: it is stuck
        assert value(exposition, "gatekeeper_sessions") == 5
        assert value(exposition, "gatekeeper_outbox_mails") == 2
        assert value(exposition, "gatekeeper_outbox_oldest_seconds") == 61
        well["sessions"] = False
        await sampler.sample(ask=False)
        assert exposition.missing(101.0) == ["sessions"]
        well.update(sessions=True, database=False)
        await sampler.sample(ask=True)
        assert exposition.missing(101.0) == ["database"]

    asyncio.run(story())
