"""Is a person waiting for a page, or a script for data? Decides between a redirect and a 401."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.core.context import Kind

_FRAMES = (b"iframe", b"frame", b"document", None)


def judge_kind(
    mode: bytes | None,
    dest: bytes | None,
    accept: bytes | None,
    requested_with: bytes | None,
    purpose: bytes | None,
) -> Kind:
    """NAVIGATION for what a browser shows as a page, BACKGROUND for fetch, XHR, images, prefetches.

    The arguments are the values of Sec-Fetch-Mode, Sec-Fetch-Dest, Accept, X-Requested-With and Sec-Purpose.
    Browsers say it in the first two (W3C Fetch Metadata); older ones and tools are judged by X-Requested-With
    and whether they accept HTML.
    """
    if (requested_with is not None and requested_with.lower() == b"xmlhttprequest") or (
        purpose is not None and purpose.lower().startswith(b"prefetch")
    ):
        return Kind.BACKGROUND
    if mode:
        return Kind.NAVIGATION if mode == b"navigate" and dest in _FRAMES else Kind.BACKGROUND
    return Kind.NAVIGATION if accept is not None and b"text/html" in accept.lower() else Kind.BACKGROUND


def by_a_person(kind: Kind, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is evidently somebody's doing: a link, a form, an address, not a page by itself.

    A page that reloads itself says so by the absence of Sec-Fetch-User (W3C Fetch Metadata section 2.4).
    Browsers that say nothing of the kind are believed to navigate because somebody wanted it.
    """
    if kind is not Kind.NAVIGATION:
        return False
    speaks = False
    for name, value in headers:
        if name == b"sec-fetch-user":
            return value == b"?1"
        speaks = speaks or name == b"sec-fetch-mode"
    return not speaks
