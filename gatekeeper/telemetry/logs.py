"""Log set-up: one JSON object a line, or a readable form on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

Format = Literal["auto", "json", "console"]

# Names under which a secret could slip into a log call; the value is taken out, whatever it is.
_SECRET_KEYS = frozenset(
    "password new_password confirm_password secret token code cookie set_cookie authorization csrf "
    "recovery_code client_secret assertion session_id".split()
)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: no value under a secret's name leaves the process."""
    for key in event:
        if key.lower() in _SECRET_KEYS:
            event[key] = "[removed]"
    return event


def _drop_repetition(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """uvicorn says its messages twice, the second time with escape codes and unfilled places."""
    event.pop("color_message", None)
    return event


def resolve_format(chosen: Format, stream: TextIO) -> Literal["json", "console"]:
    """`auto`: readable on a terminal, JSON everywhere else."""
    if chosen != "auto":
        return chosen
    return "console" if stream.isatty() else "json"


_NOISY = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "httpcore",
    "httpx",
    "msal",  # writes codes and their verifiers
    "multipart",
    "python_multipart",
    "websockets",
)
"""Loggers of others that say less than asked for: too much, or what nobody may read."""


def configure(level: str = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logging (uvicorn, libraries) down the same road."""
    stream = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _drop_repetition,
        redact,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    rendering: list[Any]
    if resolve_format(form, stream) == "json":
        rendering = [
            # Never with local variables: they hold settings, passwords, cookies.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
