"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and something about it should be changed."""
    FAIL = "fail"
    """People cannot sign in or work, or something that Gatekeeper promises does not hold."""


class Finding(NamedTuple):
    """One thing that a check found."""

    level: Level
    text: str
    """What is so: one line, no secret."""
    advice: str = ""
    """What to do about it: one line. Never empty for what is not OK."""


class Check(Protocol):
    """One thing to look at. Changes nothing that anybody could notice, and sends nothing to people."""

    @property
    def name(self) -> str:
        """One word, for programs too."""
        ...

    async def run(self) -> Sequence[Finding]:
        """At least one finding. An exception is a mistake in the check itself; the runner reports it."""
        ...


def ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def warn(text: str, advice: str) -> Finding:
    return Finding(Level.WARN, text, advice)


def fail(text: str, advice: str) -> Finding:
    return Finding(Level.FAIL, text, advice)
