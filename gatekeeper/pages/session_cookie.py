"""Beginning, changing and ending the session that this browser holds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.session import EndReason, Session, UserRecord
from gatekeeper.pages.cookies import clear_cookie, set_cookie
from gatekeeper.pages.form_guard import client_of
from gatekeeper.pages.page import context_of
from gatekeeper.pages.services import Sessions

_USER_AGENT_MAX = 400
"""Characters kept for the list of sessions."""


class Held:
    """A session with a new id, and the cookie that the browser must be given with the next answer."""

    def __init__(self, session: Session, value: str) -> None:
        self.session = session
        self.value = value


class BrowserSession:
    """The session cookie and the session behind it, always changed together."""

    def __init__(self, sessions: Sessions, cookies: CookieNames, remember_max: float | None) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._remember_max = remember_max

    async def begin(
        self,
        request: Request,
        user: UserRecord,
        *,
        methods: str,
        remembered: bool = False,
        second_factor_at: float = 0.0,
    ) -> Held:
        """A new session with a new id; the one that the browser held before is over. ASVS 5.0 V7.2.4.

        Raises SessionOver when the account is gone or disabled, and StoreUnavailable.
        """
        before = context_of(request).session
        if before is not None:
            same = before.user.id == user.id
            await self._sessions.end(before, EndReason.REPLACED if same else EndReason.SIGNED_OUT)
        session, value = await self._sessions.start(
            user.id,
            methods=methods,
            remembered=remembered and self._remember_max is not None,
            client=client_of(request),
            user_agent=user_agent_of(request),
            second_factor_at=second_factor_at,
        )
        return Held(session, value)

    async def step_up(self, session: Session, *, method: str = "", second_factor: bool = False) -> Held:
        """The same session under a new id. Raises SessionOver, StoreUnavailable. ASVS 5.0 V7.2.4."""
        return Held(*await self._sessions.step_up(session, method=method, second_factor=second_factor))

    def keep(self, response: Response, held: Held) -> None:
        """Hand the browser the cookie: for as long as it runs, or as long as "Remember me" can last."""
        kept = self._remember_max if held.session.record.remembered else None
        max_age = None if kept is None else int(kept)
        cookies = self._cookies
        set_cookie(
            response,
            cookies.session,
            held.value,
            secure=cookies.secure,
            max_age=max_age,
            domain=cookies.domain,
        )

    async def end(self, request: Request, response: Response) -> None:
        """End it in the store first: a cookie that a browser forgot opens nothing any more either."""
        session = context_of(request).session
        if session is not None:
            await self._sessions.end(session, EndReason.SIGNED_OUT)
        cookies = self._cookies
        clear_cookie(response, cookies.session, secure=cookies.secure, domain=cookies.domain)


def user_agent_of(request: Request) -> str:
    """What the browser says it is."""
    return request.headers.get("user-agent", "")[:_USER_AGENT_MAX]
