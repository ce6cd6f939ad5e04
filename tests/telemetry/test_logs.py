"""What a log line may hold."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from gatekeeper.telemetry import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variable(form: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    logs.configure("info", form, stream)
    password = "correct horse" + " canary"
    try:
        assert password
        raise OSError("went wrong")
    except OSError as error:
        structlog.get_logger("test").error("failed", exc_info=error)
    assert "went wrong" in stream.getvalue()
    assert "test_logs" in stream.getvalue()
    assert "canary" not in stream.getvalue().replace('" canary"', "")
