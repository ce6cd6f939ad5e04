"""What the pages that mailed links lead to have in common.

The token is in the link's query. Opening the link consumes nothing (mail scanners do); the page puts the
token into its form, and the button does what the link is for. With `strict-origin` the address with the token
is in no Referer, not even to ourselves, and forms still come with their Origin. The access log has no query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.pages.page import Pages

_LONGEST = 200
_HEADERS = {"referrer-policy": "strict-origin"}


def token_in(value: str) -> str:
    """A token as somebody sent it; "" for what cannot be one."""
    return value if len(value) <= _LONGEST and value.isascii() else ""


def linked_page(
    pages: Pages,
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """A page whose address has a token in it."""
    return pages.answer(request, template, status=status, headers={**_HEADERS, **(headers or {})}, **values)


def link_over(pages: Pages, request: Request, kind: str) -> Response:
    """The link works no more. The same page whether it was used, replaced, has expired or never was one."""
    return linked_page(pages, request, "link-over.html", status=410, kind=kind)
