"""Answers that have nothing to do with what was typed: too many attempts, a store that is down."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

from gatekeeper.core.errors import RateLimited, StoreUnavailable, Undecidable
from gatekeeper.pages.page import context_of

TROUBLE = (RateLimited, Undecidable)
"""What a form catches to be shown again with `Trouble.problem`."""


class Trouble(NamedTuple):
    """How a form says it. `problem` is a code for the template."""

    problem: str
    status: int
    headers: dict[str, str]


def trouble_of(request: Request, error: RateLimited | Undecidable) -> Trouble:
    """429 or 503, both with Retry-After in seconds (RFC 6585 section 4, RFC 9110 section 10.2.3).

    A 503 leaves its cause in the request's context, for the log.
    """
    headers = {"retry-after": str(error.retry_after)}
    if isinstance(error, RateLimited):
        return Trouble("too_many", 429, headers)
    context_of(request).trouble = error
    problem = "no_records" if isinstance(error, StoreUnavailable) else "busy"
    return Trouble(problem, 503, headers)
