"""`running.json` in data_dir: the configuration that serves, without its secrets, for `reload --dry-run`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "running.json"


def keep_running(folder: Path, text: str) -> None:
    """Replace it in one go, readable by our user alone. Raises OSError."""
    beside = folder / f".{NAME}.{os.getpid()}"
    try:
        descriptor = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(folder / NAME)
    except OSError:
        forget_running(folder)  # an older one would be believed
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def read_running(folder: Path) -> str | None:
    """None when there is none. Raises OSError."""
    try:
        return (folder / NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def forget_running(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / NAME).unlink()
