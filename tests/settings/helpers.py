"""Small configurations, and what is said about them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from gatekeeper.settings import Settings, SettingsError, load_settings

NEEDED = "public_url: https://app.example.com\nupstream: http://127.0.0.1:3000\n"
"""The two keys without defaults; what a test adds begins on line 3."""


def write(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "gatekeeper.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    path.chmod(mode)
    return path


def load(folder: Path, more: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    """Load the needed keys and `more`."""
    path = write(folder, NEEDED + textwrap.dedent(more))
    return load_settings(path, environ or {}, create=False)


def complaints(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Every problem of a whole file, without the folder's name."""
    path = write(folder, text)
    try:
        load_settings(path, environ or {}, create=False)
    except SettingsError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]
    return []


def complaint(folder: Path, more: str, environ: Mapping[str, str] | None = None) -> str:
    """The one problem of the needed keys and `more`, without the place in the file."""
    (found,) = complaints(folder, NEEDED + textwrap.dedent(more), environ)
    return re.sub(r"^gatekeeper\.yaml:\d+:\d+: ", "", found)
