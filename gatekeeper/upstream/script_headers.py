"""Requests and answers whose pages get the session script: what that changes in their headers.

A page with the script and the same page without it never pass for each other: each has validators of its own
(RFC 9110 section 8.8), and caches are told what the choice depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from gatekeeper.core.context import Kind, RequestContext
from gatekeeper.core.protocols import Scope

Headers = list[tuple[bytes, bytes]]

_ETAG = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_CHARSET = re.compile(r"""[;\s]charset\s*=\s*["']?\s*([^"';\s]+)""")
_FOREIGN_CHARSETS = (
    "utf-16", "utf16", "utf-32", "utf32", "utf-7", "ucs-", "unicode", "csunicode", "csutf16", "iso-10646",
    "iso-2022", "csiso2022", "hz-", "x-user-defined",
)  # fmt: skip
"""Beginnings of the names of encodings in which an ASCII byte may be something else."""
_DIGESTS = frozenset((b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges"))
_NO_DOCUMENT_STATUS = frozenset((204, 205, 206))


class Verdict(NamedTuple):
    """What becomes of an answer."""

    document: bool
    """It is a page that may get the script."""
    reason: str = ""
    """Why a page may not, where the operator should know; "" where nothing is amiss."""


class Wanted(Enum):
    """What a request is for."""

    DATA = "data"
    PAGE = "page"
    FRAME = "frame"
    """A page within a page, which reports what people do already."""


_DESTINATIONS = {b"document": Wanted.PAGE, b"iframe": Wanted.FRAME, b"frame": Wanted.FRAME}


def wanted(scope: Scope) -> Wanted:
    """Whether a signed-in person's browser asks for a page to show. W3C Fetch Metadata."""
    context: RequestContext | None = scope.get("gatekeeper")
    if context is None or context.facts is None or scope["method"] not in ("GET", "POST"):
        return Wanted.DATA
    if context.session is None or not context.session.complete:
        return Wanted.DATA
    for name, value in scope["headers"]:
        if name == b"sec-fetch-dest":
            return _DESTINATIONS.get(value, Wanted.DATA)
    return Wanted.PAGE if context.facts.kind is Kind.NAVIGATION else Wanted.DATA


def document_request(headers: Headers, suffix: bytes) -> tuple[Headers, bool]:
    """The request as the application gets it, and whether a 304 means the page with the script.

    The application is asked not to compress. Validators that are not of a page with the script ask for
    nothing: they would bring the one without it back. Last-Modified cannot tell the two apart, so it is not
    asked about.
    """
    kept: Headers = []
    tags: list[bytes] = []
    whole = any(name == b"if-range" and suffix in value for name, value in headers)
    for name, value in headers:
        if name in (b"accept-encoding", b"if-modified-since"):
            continue
        if name == b"if-none-match":
            tags += [tag for found in _ETAG.finditer(value) if (tag := _without(found, suffix))]
        elif not (whole and name in (b"range", b"if-range")):
            kept.append((name, value))
    kept.append((b"accept-encoding", b"identity"))
    if tags:
        kept.append((b"if-none-match", b", ".join(tags)))
    return kept, bool(tags)


def judge_answer(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Verdict:
    """Whether an answer to `document_request` is a page that the script can be put into."""
    types: list[bytes] = []
    encoded = attached = untouchable = False
    for name, value in headers:
        name = name.lower()
        if name == b"content-type":
            types.append(value)
        elif name == b"content-encoding":
            encoded = encoded or value.strip().lower() not in (b"", b"identity")
        elif name == b"content-disposition":
            attached = attached or value.split(b";")[0].strip().lower() != b"inline"
        elif name == b"content-range":
            attached = True
        elif name == b"cache-control":
            untouchable = untouchable or b"no-transform" in value.lower()
    shown = status >= 200 and not 300 <= status < 400 and status not in _NO_DOCUMENT_STATUS
    if not shown or attached or len(types) != 1 or not is_html(types[0]):
        return Verdict(False)
    if encoded:
        return Verdict(False, "compressed")
    if untouchable:
        return Verdict(False, "no-transform")
    named = _CHARSET.search(types[0].decode("latin-1").lower())
    if named is not None and foreign_charset(named[1]):
        return Verdict(False, "charset")
    return Verdict(True)


def is_html(content_type: bytes) -> bool:
    """XHTML is not: one wrong byte and an XML parser shows nothing."""
    return content_type.split(b";", 1)[0].strip().lower() == b"text/html"


def foreign_charset(name: str) -> bool:
    """Whether bytes of this encoding cannot be read as ASCII where they look like it."""
    return name.lower().startswith(_FOREIGN_CHARSETS)


def with_script(headers: Headers, *, added: int, suffix: bytes) -> Headers:
    """The head of a page that `added` bytes were put into."""
    mended: Headers = []
    for name, value in headers:
        lower = name.lower()
        if lower in _DIGESTS:
            continue
        if lower == b"content-length":
            value = b"%d" % (int(value) + added)
        elif lower == b"etag":
            value = _with(value, suffix)
        mended.append((name, value))
    return mended


def unchanged(headers: Headers, suffix: bytes) -> Headers:
    """The head of a 304 about a page with the script."""
    return with_script(
        [pair for pair in headers if pair[0].lower() != b"content-length"], added=0, suffix=suffix
    )


def varying(headers: Headers) -> Headers:
    """The head of a page, with the script or without: which of them it is depends on the request."""
    return [*headers, (b"vary", b"Sec-Fetch-Dest")]


def _with(tag: bytes, suffix: bytes) -> bytes:
    """Weak, because bytes were added; the end says which it was."""
    found = _ETAG.fullmatch(tag.strip())
    if found is None:
        return tag
    return b'W/"%b%b%b"' % (found[2], suffix, b"w" if found[1] else b"")


def _without(found: re.Match[bytes], suffix: bytes) -> bytes:
    """The application's own tag, b"" when it is of a page without the script."""
    text = found[2]
    if text.endswith(suffix):
        return b'"%b"' % text.removesuffix(suffix)
    if text.endswith(suffix + b"w"):
        return b'W/"%b"' % text.removesuffix(suffix + b"w")
    return b""
