"""Which origins may open a WebSocket: a browser says where its script came from, and CORS does not apply.

RFC 6454 (the Origin header), RFC 6455 sections 4.2.2 and 10.2, ASVS 5.0 V4.4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origin_of(url: str) -> str:
    """The origin of an http(s) URL as browsers write it: lower case, no default port. RFC 6454 section 6.2.

    Raises ValueError when `url` has no scheme or host, or no valid port.
    """
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        raise ValueError(f"not an origin: {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{parts.port}"


def origin_allowed(headers: Iterable[tuple[bytes, bytes]], allowed: Collection[str]) -> bool:
    """Whether a hand-shake with these headers (names in lower case) may go on.

    Without Origin it is no browser's, so no person's cookies were borrowed: allowed. Otherwise exactly one
    Origin must be, byte for byte, one of `allowed`; "null" (sandboxed frames, `data:` pages) never is.
    """
    origins = [value for name, value in headers if name == b"origin"]
    if not origins:
        return True
    if len(origins) > 1 or origins[0] == b"null":
        return False
    return origins[0].decode("latin-1") in allowed
