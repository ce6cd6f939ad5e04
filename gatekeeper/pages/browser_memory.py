"""What a browser keeps of us beyond a session: that it is known, and that "Remember me" was ticked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.pages.cookies import clear_cookie, set_cookie

KEPT = 400 * 86_400
"""Seconds: browsers keep no cookie for longer (RFC 6265bis section 5.5)."""
_LONGEST_DEVICE = 100


class BrowserMemory:
    """Reads and writes the device cookie and the "remember" cookie."""

    def __init__(self, cookies: CookieNames) -> None:
        self._cookies = cookies

    def device(self, request: Request) -> str | None:
        """The value by which the accounts that signed in here know this browser."""
        raw = find_cookie(request.scope["headers"], self._cookies.device.encode("ascii"))
        if not raw or len(raw) > _LONGEST_DEVICE or not raw.isascii():
            return None
        return raw.decode("ascii")

    def keep_device(self, response: Response, value: str) -> None:
        set_cookie(response, self._cookies.device, value, secure=self._cookies.secure, max_age=KEPT)

    def ticked(self, request: Request) -> bool:
        """Whether "Remember me" was ticked at the last sign-in here."""
        return find_cookie(request.scope["headers"], self._cookies.remember.encode("ascii")) == b"1"

    def keep_ticked(self, response: Response, ticked: bool) -> None:
        if ticked:
            set_cookie(response, self._cookies.remember, "1", secure=self._cookies.secure, max_age=KEPT)
        else:
            clear_cookie(response, self._cookies.remember, secure=self._cookies.secure)
