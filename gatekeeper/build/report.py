"""Where errors go that nobody expected."""

from __future__ import annotations

import structlog

log = structlog.get_logger("gatekeeper")


def report_error(request_id: str, error: BaseException) -> None:
    """An exception while a request was answered."""
    log.error("internal server error", request_id=request_id, exc_info=error)


def task_failed(error: BaseException) -> None:
    """An exception in a background task."""
    log.error("background task failed", exc_info=error)
