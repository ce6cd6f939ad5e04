"""Addresses that a provider publishes about itself: used only when they are what they should be. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gatekeeper.providers.protocol import ProviderError

_PLAIN = re.compile(r"[\x21-\x7e]{1,2000}")
_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


def checked_address(url: object, what: str, *, allow_http: bool = False) -> str:
    """`url` when it is an absolute https address without user, password and fragment.

    `allow_http` accepts http:// for this machine alone (tests). Raises `ProviderError` ("discovery_invalid")
    naming `what`, never the address: it may be anything.
    """
    if not isinstance(url, str) or not _PLAIN.fullmatch(url):
        raise ProviderError("discovery_invalid", f"{what} is missing or not an address")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ProviderError("discovery_invalid", f"{what} is not an address") from None
    if not host or "@" in parts.netloc or "#" in url or "\\" in url:
        raise ProviderError("discovery_invalid", f"{what} is not a plain address")
    bare = parts.netloc.rsplit(":", 1)[0] if parts.port is not None else parts.netloc
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http and bare in _LOOPBACK):
        raise ProviderError("discovery_invalid", f"{what} is not https")
    return url
