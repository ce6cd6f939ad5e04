"""Where errors go that nobody expected, and what made an answer impossible."""

from __future__ import annotations

import time

import structlog
from uvicorn.protocols.utils import ClientDisconnected

from gatekeeper.core.errors import Undecidable
from gatekeeper.telemetry.outages import OutageLines

log = structlog.get_logger("gatekeeper")
_outages = OutageLines(log, time.monotonic)


def report_error(request_id: str, error: BaseException) -> None:
    """An exception while a request was answered."""
    if isinstance(error, Undecidable):
        _outages.report(request_id, error)
        return
    if isinstance(error, ClientDisconnected):
        return  # whoever asked is gone: nobody is waiting, and nothing of ours is wrong
    log.error("internal server error", request_id=request_id, exc_info=error)


def task_failed(error: BaseException) -> None:
    """An exception in a background task."""
    log.error("background task failed", exc_info=error)
