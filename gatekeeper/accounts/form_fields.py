"""The names of a posted form's fields, to show what was kept without showing what is in it."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

FORM_TYPES = (b"application/x-www-form-urlencoded", b"multipart/form-data")

_MOST_FIELDS = 40
_LONGEST_NAME = 60
_LONGEST_HEAD = 4096
_BOUNDARY = re.compile(rb"""boundary="?([^"\s;]{1,70})"?""", re.IGNORECASE)
_NAME = re.compile(rb"""[;\s]name="((?:[^"\\]|\\.)*)\"""", re.IGNORECASE)
_HIDDEN = re.compile(r"csrf|xsrf|token|nonce|^_|^__", re.IGNORECASE)


def is_form(content_type: bytes) -> bool:
    """Whether it is what HTML forms send (HTML Standard section 4.10.22)."""
    return content_type.split(b";", 1)[0].strip().lower() in FORM_TYPES


def field_names(content_type: bytes, body: bytes) -> list[str]:
    """The names in their order, each once, the first `_MOST_FIELDS`; without what only programs read."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    raw = _urlencoded(body) if kind == FORM_TYPES[0] else _multipart(content_type, body)
    names = (name.decode("utf-8", "replace")[:_LONGEST_NAME].strip() for name in raw)
    return list(dict.fromkeys(name for name in names if name and not _HIDDEN.search(name)))


def _urlencoded(body: bytes) -> list[bytes]:
    pairs = body.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]
    return [unquote_to_bytes(pair.split(b"=", 1)[0].replace(b"+", b" ")[:1000]) for pair in pairs]


def _multipart(content_type: bytes, body: bytes) -> list[bytes]:
    """RFC 7578, as far as names need it."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return []
    mark = b"--" + found[1]
    names: list[bytes] = []
    at = body.find(mark)
    while at >= 0 and len(names) < _MOST_FIELDS:
        end = body.find(b"\r\n\r\n", at, at + _LONGEST_HEAD)
        name = _NAME.search(body, at, end) if end >= 0 else None
        if name is not None:
            names.append(name[1].replace(b"%22", b'"').replace(b"%0D%0A", b" "))
        at = body.find(b"\r\n" + mark, at + len(mark))
    return names
