"""`running.json` in data_dir: the configuration that serves, without its secrets, for `reload --dry-run`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import structlog

NAME = "running.json"

log = structlog.get_logger("gatekeeper")


def keep_running(folder: Path, text: str) -> None:
    """Replace it in one go, readable by us alone; where that fails there is none, and the log says so."""
    beside = folder / f".{NAME}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(folder / NAME)
    except OSError as error:
        log.warning("`gatekeeper reload --dry-run` will not know what runs", error=error.strerror)
        forget_running(folder)  # an older one would be believed
        with contextlib.suppress(OSError):
            beside.unlink()


def read_running(folder: Path) -> str | None:
    """None when there is none. Raises OSError."""
    try:
        return (folder / NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def forget_running(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / NAME).unlink()
