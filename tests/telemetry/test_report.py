"""Errors while a request is answered: which of them are ours."""

from __future__ import annotations

from functools import partial

import structlog
from uvicorn.protocols.utils import ClientDisconnected

from gatekeeper.build.gate import count_error
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.board import Boards
from gatekeeper.telemetry.metrics import Metrics


def test_a_client_that_leaves_before_its_page_is_ready_is_no_internal_server_error() -> None:
    metrics = Metrics(Boards(1, at.CELLS).board(1))
    report = partial(count_error, metrics)
    with structlog.testing.capture_logs() as lines:
        report("r-1", ClientDisconnected())
    assert lines == [] and metrics.cells[at.INTERNAL_ERRORS] == 0
    with structlog.testing.capture_logs() as lines:
        report("r-2", OSError("no space left on device"))  # ClientDisconnected is one, too
    assert [(line["event"], line["request_id"]) for line in lines] == [("internal server error", "r-2")]
    assert metrics.cells[at.INTERNAL_ERRORS] == 1
