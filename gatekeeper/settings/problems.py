"""What is wrong with a configuration, in words that lead to the place: all of it at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from gatekeeper.core.errors import GatekeeperError

Loc = tuple[str | int, ...]
"""Where a value is in the document: ("rules", 0, "allow")."""


class Origin(NamedTuple):
    """Where a value was written. Lines and columns count from 1; 0 means that there is none."""

    file: str
    """The file's path as the operator gave it, or the environment variable's name."""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Never holds a secret's value."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class SettingsError(GatekeeperError):
    """The configuration cannot be used; `problems` has every reason, in the order of the file."""

    reason = "settings"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(
            problems, key=lambda problem: (problem.line == 0, problem.line, problem.column)
        )
        super().__init__("\n".join(map(str, self.problems)))


def dotted(loc: Loc) -> str:
    """`("rules", 0, "allow")` as people write it: `rules[0].allow`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """`, did you mean …?` with the nearest valid word, or nothing when none is near."""
    near = get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
