"""Is a person waiting for a page, or a script for data? Decides between a redirect and a 401."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.core.context import Kind

_FRAMES = (b"iframe", b"frame", b"document", b"")


def kind_of(method: str, headers: Iterable[tuple[bytes, bytes]]) -> Kind:
    """NAVIGATION for what a browser shows as a page, BACKGROUND for fetch, XHR, images, prefetches.

    Browsers say it in Sec-Fetch-Mode and -Dest (W3C Fetch Metadata); older ones and tools are judged by
    X-Requested-With and whether they accept HTML.
    """
    mode = dest = accept = b""
    for name, value in headers:
        if name == b"sec-fetch-mode":
            mode = value
        elif name == b"sec-fetch-dest":
            dest = value
        elif name == b"accept":
            accept = value
        elif (name == b"x-requested-with" and value.lower() == b"xmlhttprequest") or (
            name in (b"sec-purpose", b"purpose") and value.lower().startswith(b"prefetch")
        ):
            return Kind.BACKGROUND
    if mode:
        return Kind.NAVIGATION if mode == b"navigate" and dest in _FRAMES else Kind.BACKGROUND
    return Kind.NAVIGATION if b"text/html" in accept.lower() else Kind.BACKGROUND
