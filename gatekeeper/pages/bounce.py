"""Breaking redirect loops: how often one address came back to the sign-in page within a short time.

The count is in a cookie that nobody signs: whoever forges it sees an explanation too early or a loop longer.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.clock import Clock
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.pages.cookies import clear_cookie, set_cookie

WINDOW = 30
"""Seconds."""
LIMIT = 3

_FORM = re.compile(rb"([0-9]{1,2})\.([0-9]{1,11})\.([0-9a-f]{8})")


class _Count(NamedTuple):
    times: int
    since: int
    address: str


class Bounces:
    """Counts, in the browser, how often we sent it back to one address."""

    def __init__(self, cookies: CookieNames, clock: Clock) -> None:
        self._cookies = cookies
        self._clock = clock

    def exhausted(self, request: Request, address: str) -> bool:
        """Whether sending the browser to `address` once more would only turn the loop."""
        return self._read(request, address).times >= LIMIT

    def count(self, request: Request, response: Response, address: str) -> None:
        """Note on `response`, which redirects to `address`, that it was tried once more."""
        count = self._read(request, address)
        value = f"{count.times + 1}.{count.since}.{count.address}"
        set_cookie(response, self._cookies.bounce, value, secure=self._cookies.secure, max_age=WINDOW)

    def forget(self, response: Response) -> None:
        """Start anew: after the explanation was shown, and after signing out."""
        clear_cookie(response, self._cookies.bounce, secure=self._cookies.secure)

    def _read(self, request: Request, address: str) -> _Count:
        now = int(self._clock())
        short = f"{zlib.crc32(address.split('#', 1)[0].encode('utf-8')):08x}"
        raw = find_cookie(request.scope["headers"], self._cookies.bounce.encode("ascii"))
        match = _FORM.fullmatch(raw or b"")
        if match is not None:
            count = _Count(int(match[1]), int(match[2]), match[3].decode("ascii"))
            if count.address == short and 0 <= now - count.since <= WINDOW:
                return count
        return _Count(0, now, short)
