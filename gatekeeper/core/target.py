"""The request target: read once, judged as it will be sent, refused when two servers could differ on it.

Rules match the path decoded exactly once. What is sent to the application is the raw bytes, untouched; so a
target that some server would read as another path is refused before any rule (RFC 3986 sections 2.4, 6.2.2;
ASVS 5.0 V1.2, V4.2). An application that needs `%2F`, `;` or `//` gets them back one by one, and then every
reading of the path is judged and the strictest answer wins.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gatekeeper.core.errors import RequestRejected


class Leniency(NamedTuple):
    """What one application's paths may hold beyond the canonical form."""

    encoded_slash: bool = False
    semicolon: bool = False
    double_slash: bool = False
    case_insensitive: bool = False

    @classmethod
    def of(cls, allow_in_path: frozenset[str] | set[str], *, case_insensitive: bool = False) -> Leniency:
        """From the YAML's list of "%2F", ";", "//"."""
        return cls("%2F" in allow_in_path, ";" in allow_in_path, "//" in allow_in_path, case_insensitive)


class Target(NamedTuple):
    """A path and query that were found canonical."""

    raw: bytes
    """The path as it came, and as it is sent: never rebuilt from `path`."""
    query: bytes
    path: str
    """`raw` decoded once."""
    readings: tuple[str, ...]
    """Every path that some server might understand; one, unless the application has leniencies."""


STRICT = Leniency()

# Nothing encoded, no empty or dotted segment: the great majority, decided by one match.
_PLAIN = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@|]+)*/?")
_PATH_BYTES = re.compile(rb"/[!\"$-.0-:<->@-\[\]-~/;%]*")  # printable ASCII but for # ? and backslash
_QUERY_BYTES = re.compile(rb"[!\"$-~]*")  # printable ASCII but for #
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ENCODED_SLASH = re.compile(rb"%2[Ff]")
_PARAMETER = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
# Stands for an encoded slash that is not a separator; no decoded path can hold it (controls are refused).
_OPAQUE_SLASH = "\x00"


def parse_target(raw_path: bytes, query: bytes, leniency: Leniency = STRICT) -> Target:
    """Read a request target (path without query, as in ASGI's raw_path).

    Raises RequestRejected(400) with one of the reasons path_form, path_bytes, path_escape, path_utf8,
    path_control, path_double_encoded, path_encoded_slash, path_backslash, path_parameter,
    path_double_slash, path_dot_segment, query_bytes.
    """
    check_query(query)
    path, readings = read_path(raw_path, leniency)
    return Target(raw_path, query, path, readings)


def check_query(query: bytes) -> None:
    """Raises RequestRejected(400, query_bytes)."""
    if query and not _QUERY_BYTES.fullmatch(query):
        raise RequestRejected(400, "query_bytes")


def read_path(raw_path: bytes, leniency: Leniency = STRICT) -> tuple[str, tuple[str, ...]]:
    """The path decoded once, and all its readings. Raises as `parse_target`, which says more."""
    if raw_path and _PLAIN.fullmatch(raw_path):
        path = raw_path.decode("ascii")
        return path, (path.casefold() if leniency.case_insensitive else path,)
    if not raw_path.startswith(b"/"):
        raise RequestRejected(400, "path_form")
    if not _PATH_BYTES.fullmatch(raw_path):
        raise RequestRejected(400, "path_backslash" if b"\\" in raw_path else "path_bytes")
    if _BAD_ESCAPE.search(raw_path):
        raise RequestRejected(400, "path_escape")
    path = _decode_once(raw_path)
    readings = _readings(raw_path, path, leniency)
    for reading in readings:
        _check_segments(reading, leniency)
    shown = [reading.replace(_OPAQUE_SLASH, "%2F") for reading in readings]
    if leniency.case_insensitive:
        shown = [reading.casefold() for reading in shown]
    return path, tuple(dict.fromkeys(shown))


def _decode_once(raw: bytes) -> str:
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRejected(400, "path_utf8") from None
    if _CONTROL.search(path):
        raise RequestRejected(400, "path_control")
    if "\\" in path:
        raise RequestRejected(400, "path_backslash")
    if _ESCAPE.search(path):
        raise RequestRejected(400, "path_double_encoded")
    return path


def _readings(raw: bytes, path: str, leniency: Leniency) -> list[str]:
    """All readings of a path, closed under what lenient servers do to it; the first is the plain one."""
    readings = [path]
    if _ENCODED_SLASH.search(raw):
        if not leniency.encoded_slash:
            raise RequestRejected(400, "path_encoded_slash")
        opaque = b"".join(
            b"\x00" if index % 2 else unquote_to_bytes(part)
            for index, part in enumerate(re.split(rb"(%2[Ff])", raw))
        )
        readings.append(opaque.decode("utf-8"))
    if ";" in path:
        if not leniency.semicolon:
            raise RequestRejected(400, "path_parameter")
        for reading in list(readings):
            readings.append(_PARAMETER.sub("", reading))
            readings.append(reading.split(";", 1)[0])
    if "//" in path and not leniency.double_slash:
        raise RequestRejected(400, "path_double_slash")
    readings += [_SLASHES.sub("/", reading) for reading in readings if "//" in reading]
    return list(dict.fromkeys(readings))


def _check_segments(reading: str, leniency: Leniency) -> None:
    segments = reading.split("/")
    if "." in segments or ".." in segments:
        raise RequestRejected(400, "path_dot_segment")
    if not leniency.double_slash and "//" in reading:
        raise RequestRejected(400, "path_double_slash")
