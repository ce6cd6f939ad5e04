"""Where a person may be sent after signing in: to a path of ours, never to another site."""

from __future__ import annotations

import re
from urllib.parse import unquote

MAX_LENGTH = 4096
"""Longer addresses are not remembered: they would not fit into a redirect everywhere."""

# One slash, then no second one and no backslash (browsers read "/\\evil.example" as another host);
# only printable ASCII, so that nothing can end the Location header or be read in another encoding.
_SAFE = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def safe_return(value: str, prefix: str) -> str:
    """The address to return to (path, query, fragment), or "/" when `value` is not one of ours.

    Gatekeeper's own pages are no place to return to: that would bounce. ASVS 5.0 V1.2, CWE-601.
    """
    if len(value) > MAX_LENGTH or not _SAFE.fullmatch(value):
        return "/"
    path = unquote(re.split(r"[?#]", value, maxsplit=1)[0])
    if path == prefix or path.startswith(("//", "/\\", prefix + "/")):
        return "/"
    return value
