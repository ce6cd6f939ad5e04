"""One HTTP question, asked as a stranger would: no pool, no redirects, no proxy variables, no cookies."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httptools

from gatekeeper.core.errors import GatekeeperError
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.origin import Origin

_MOST = 65_536
"""Bytes of an answer that are read."""


class NoAnswer(GatekeeperError):
    """Nothing came back that is HTTP; the text says why, in words for the operator.

    `reason` is "unreachable", "timeout", "tls" or "not_http".
    """

    reason = "unreachable"


@dataclass(slots=True)
class HttpAnswer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """By lower-case name; the last of several."""
    body: bytes = b""
    local_address: str = ""
    """Ours, as the connection had it; "" for a unix socket."""
    certificate_ends: float | None = None
    """Seconds since the epoch."""

    @property
    def date(self) -> float | None:
        """The Date header, in seconds since the epoch. RFC 9110 section 6.6.1."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None


class _Reader:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.answer = HttpAnswer()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.answer.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def ask(
    origin: Origin,
    target: str,
    *,
    host: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> HttpAnswer:
    """GET `target` from `origin` with `host` as Host, within `timeout` seconds. Raises NoAnswer."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close", "User-Agent: gatekeeper-doctor"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _connect(origin, ssl_context)
            try:
                writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
                answer = await _read(reader)
                _note_connection(answer, writer)
                return answer
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise NoAnswer(f"no answer in {timeout:g} s", reason="timeout") from error
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or "TLS failed"
        raise NoAnswer(f"TLS: {why}", reason="tls") from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error


async def _connect(
    origin: Origin, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if origin.unix_path is not None:
        return await asyncio.open_unix_connection(origin.unix_path)
    if origin.tls:
        return await asyncio.open_connection(origin.host, origin.port, ssl=context or make_ssl_context())
    return await asyncio.open_connection(origin.host, origin.port)


async def _read(stream: asyncio.StreamReader) -> HttpAnswer:
    reader = _Reader()
    parser: Any = httptools.HttpResponseParser(reader)
    size = 0
    try:
        while not reader.complete and size < _MOST:
            data = await stream.read(_MOST)
            if not data:
                break
            size += len(data)
            parser.feed_data(data)
        reader.answer.status = parser.get_status_code()
    except httptools.HttpParserError as error:
        raise NoAnswer("what answers there does not speak HTTP", reason="not_http") from error
    if not reader.answer.status:
        raise NoAnswer("the connection was closed without an answer")
    return reader.answer


def _note_connection(answer: HttpAnswer, writer: asyncio.StreamWriter) -> None:
    name = writer.get_extra_info("sockname")
    answer.local_address = name[0] if isinstance(name, tuple) else ""
    certificate = writer.get_extra_info("peercert") or {}
    if "notAfter" in certificate:
        answer.certificate_ends = float(ssl.cert_time_to_seconds(certificate["notAfter"]))
