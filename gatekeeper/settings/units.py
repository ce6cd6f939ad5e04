"""Durations (`15m`) and sizes (`10MB`): a number is never written without its unit."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_DURATION = re.compile(_NUMBER + r"(ms|s|m|h|d)\Z")
_SIZE = re.compile(_NUMBER + r" ?(B|[KMGT]i?B)\Z")


def parse_duration(text: str) -> float:
    """Seconds; `ValueError` unless it is a number with ms, s, m, h or d."""
    found = _DURATION.match(text)
    if found is None:
        hint = f"; did you mean {text}s?" if text.isdigit() and text.isascii() else ""
        raise ValueError("must be a duration: a number and ms, s, m, h or d, such as 500ms, 15m or 8h" + hint)
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Bytes; KB, MB … count in thousands, KiB, MiB … in 1024s. `ValueError` for anything else."""
    found = _SIZE.match(text)
    if found is None:
        near = re.sub(r"(?i)([kmgt])(i?)b?\Z", lambda m: m[1].upper() + m[2].lower() + "B", text)
        hint = f"; did you mean {near}?" if near != text and _SIZE.match(near) else ""
        raise ValueError("must be a size: a number and B, KB, MB, GB or KiB, MiB, GiB, such as 10MB" + hint)
    return int(float(found[1]) * _BYTES[found[2]])


def duration_text(seconds: float) -> str:
    """The shortest way to write so many seconds: 900.0 is `15m`."""
    for unit, length in reversed(_SECONDS.items()):
        if seconds >= length and (seconds / length).is_integer():
            return f"{int(seconds / length)}{unit}"
    return f"{seconds:g}s"


def size_text(number: int) -> str:
    """The shortest way to write so many bytes: 16000000 is `16MB`."""
    fitting = [(length, unit) for unit, length in _BYTES.items() if number % length == 0]
    length, unit = max(fitting)
    return f"{number // length}{unit}"


def duration(least: str, most: str) -> BeforeValidator:
    """Marks a float of seconds that is written as a duration between two others."""
    low, high = parse_duration(least), parse_duration(most)

    def check(value: Any) -> float:
        seconds = parse_duration(value if isinstance(value, str) else _unitless(value))
        if not low <= seconds <= high:
            raise ValueError(f"must be between {least} and {most}")
        return seconds

    schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
    return BeforeValidator(check, json_schema_input_type=Annotated[str, WithJsonSchema(schema)])


def size(least: str, most: str) -> BeforeValidator:
    """Marks an int of bytes that is written as a size between two others."""
    low, high = parse_size(least), parse_size(most)

    def check(value: Any) -> int:
        number = parse_size(value if isinstance(value, str) else _unitless(value))
        if not low <= number <= high:
            raise ValueError(f"must be between {least} and {most}")
        return number

    schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]i?B)$"}
    return BeforeValidator(check, json_schema_input_type=Annotated[str, WithJsonSchema(schema)])


def _unitless(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "?"
