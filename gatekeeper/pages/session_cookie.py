"""Beginning and ending the session that this browser holds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.session import EndReason, UserRecord
from gatekeeper.pages.cookies import clear_cookie, set_cookie
from gatekeeper.pages.form_guard import client_of
from gatekeeper.pages.page import context_of
from gatekeeper.pages.services import SessionStarter

_USER_AGENT_MAX = 400
"""Characters kept for the list of sessions."""


class BrowserSession:
    """The session cookie and the session behind it, always changed together."""

    def __init__(self, sessions: SessionStarter, cookies: CookieNames) -> None:
        self._sessions = sessions
        self._cookies = cookies

    async def begin(self, request: Request, response: Response, user: UserRecord, *, methods: str) -> None:
        """A new session with a new id; the one that the browser held before is over. ASVS 5.0 V7.2.4.

        Raises SessionOver when the account is gone or disabled, and StoreUnavailable.
        """
        before = context_of(request).session
        if before is not None:
            same = before.user.id == user.id
            await self._sessions.end(before, EndReason.REPLACED if same else EndReason.SIGNED_OUT)
        _, value = await self._sessions.start(
            user.id,
            methods=methods,
            remembered=False,
            client=client_of(request),
            user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_MAX],
        )
        set_cookie(response, self._cookies.session, value, secure=self._cookies.secure)

    async def end(self, request: Request, response: Response) -> None:
        """End it in the store first: a cookie that a browser forgot opens nothing any more either."""
        session = context_of(request).session
        if session is not None:
            await self._sessions.end(session, EndReason.SIGNED_OUT)
        clear_cookie(response, self._cookies.session, secure=self._cookies.secure)
