"""Reading a posted form: urlencoded, small, strict UTF-8, each field once.

Starlette's own parser has no cap on a urlencoded body and keeps the last of two fields of one name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from python_multipart import QuerystringParser
from python_multipart.exceptions import FormParserError
from starlette.requests import ClientDisconnect, Request

from gatekeeper.core.errors import RequestRejected

MAX_BODY = 64 * 1024
"""Bytes."""
MAX_FIELDS = 40


class _Fields:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._name = bytearray()
        self._value = bytearray()

    def on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_end(self) -> None:
        name, value = _decoded(self._name), _decoded(self._value)
        self._name.clear()
        self._value.clear()
        if name in self.found:
            raise RequestRejected(400, "duplicate_field")
        if len(self.found) >= MAX_FIELDS:
            raise RequestRejected(400, "too_many_fields")
        self.found[name] = value


def _decoded(raw: bytearray) -> str:
    try:
        text = unquote_to_bytes(bytes(raw.replace(b"+", b" "))).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRejected(400, "bad_form_encoding") from None
    if "\0" in text:
        raise RequestRejected(400, "bad_form_encoding")
    return text


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a posted form.

    Raises RequestRejected: 415 not urlencoded, 413 above 64 KB, 400 malformed, a field twice, or too many
    of them. Raises ClientDisconnect when the body does not arrive whole.
    """
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise RequestRejected(415, "not_a_form")
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise RequestRejected(413, "form_too_large")
        if not message.get("more_body", False):
            break
    fields = _Fields()
    parser = QuerystringParser(
        {"on_field_name": fields.on_name, "on_field_data": fields.on_value, "on_field_end": fields.on_end},
        strict_parsing=True,
    )
    try:
        parser.write(bytes(body))
        parser.finalize()
    except FormParserError:
        raise RequestRejected(400, "bad_form") from None
    return fields.found
