"""What the session script asks and reports: the session as JSON, activity, open tabs, sign-out.

None of these requests counts as activity by itself: only what `active` and `closing` say of it does. The
script runs in the application's own pages; what other origins send is refused. OWASP CSRF Prevention
(Fetch Metadata, Origin, a custom header), ASVS 5.0 V3.5.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatekeeper.core.clock import Clock
from gatekeeper.core.session import EndReason, Session, Timeouts, warn_before
from gatekeeper.pages.csrf import Csrf
from gatekeeper.pages.flow import BACK
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.looks import Looks
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Sessions
from gatekeeper.pages.session_services import Tabs
from gatekeeper.pages.session_texts import session_texts
from gatekeeper.pages.sign_out import SignOutPages
from gatekeeper.sessions.errors import SessionOver

HEADER = "x-gatekeeper-session"
"""Sent with everything but beacons: another origin's page cannot send it without asking us first (CORS)."""

REPORT_EVERY = 30.0
"""Seconds from one report of activity to the next, at least; a quarter of a shorter idle timeout."""

_SURE = 5.0
"""Seconds: this much before a warning, the store is asked, because another process may know of activity."""


class SessionState:
    """The endpoints under `{prefix}/session`."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        tabs: Tabs,
        sign_out: SignOutPages,
        pages: Pages,
        csrf: Csrf,
        looks: Looks,
        timeouts: Timeouts,
        locale: Locale,
        clock: Clock,
        prefix: str,
    ) -> None:
        self._sessions = sessions
        self._tabs = tabs
        self._sign_out = sign_out
        self._pages = pages
        self._csrf = csrf
        self._looks = looks
        self._clock = clock
        self._prefix = prefix
        self._warn_before = warn_before(timeouts)
        self._fixed = {
            "warn_before": self._warn_before,
            "report_every": min(REPORT_EVERY, timeouts.idle / 4),
        }
        self._words = {
            "account": f"{prefix}/account",
            "sign_in": f"{prefix}/login?again=1&next={prefix}{BACK}",
            "lang": locale.code,
            "texts": session_texts(locale),
        }

    async def show(self, request: Request) -> Response:
        """Everything the script needs when it begins in a page."""
        session = context_of(request).session
        if not self._ours(request) or session is None or not session.complete:
            return self._refused(request)
        self._tabs.opened(session, self._clock())
        token = self._csrf.token(request)
        style = self._looks.of_referer(request).static.session_style
        response = await self._answer(
            request,
            session,
            {**self._words, "style": style, "name": session.user.name, "csrf": token.field},
        )
        self._csrf.keep(request, response, token)
        return response

    async def active(self, request: Request) -> Response:
        """The person did something, `ago` seconds before now."""
        session = context_of(request).session
        if not self._ours(request) or session is None or not session.complete:
            return self._refused(request)
        now = self._clock()
        self._tabs.seen(session, now)
        self._sessions.touch(session, now - _ago(request))
        return await self._answer(request, session, {})

    async def pulse(self, request: Request) -> Response:
        """A tab is open. Renews a remembered session when that is due."""
        session = context_of(request).session
        if not self._ours(request) or session is None or not session.complete:
            return self._refused(request)
        self._tabs.seen(session, self._clock())
        return await self._answer(request, session, {})

    async def closing(self, request: Request) -> Response:
        """A page is left: what the person did in it last, and (`last=1`) that it knew of no other tab."""
        session = context_of(request).session
        if not self._ours(request, beacon=True) or session is None or not session.complete:
            return self._refused(request)
        now = self._clock()
        if "ago" in request.query_params:
            self._sessions.touch(session, now - _ago(request))
        if request.query_params.get("last") == "1":
            await self._tabs.closed(session, now)
        return Response(status_code=204)

    async def sign_out(self, request: Request) -> Response:
        """Signs out as the form does, and says where to go: a script cannot see where a redirect leads."""
        if not self._ours(request):
            return self._refused(request)
        done = await self._sign_out.do(request)
        if done.status_code != 303:
            return JSONResponse({"location": f"{self._prefix}/logout"}, status_code=409)
        response = JSONResponse({"location": done.headers["location"]})
        response.raw_headers += [
            (name, value) for name, value in done.raw_headers if name in (b"set-cookie", b"clear-site-data")
        ]
        return response

    async def back(self, request: Request) -> Response:
        """Where signing in again in a window of its own leads: it tells the tabs, and closes."""
        session = context_of(request).session
        if session is None or not session.complete:
            return see_other(f"{self._prefix}/login?next={self._prefix}{BACK}")
        return self._pages.answer(request, "signed-in.html", user=session.user)

    async def _answer(self, request: Request, session: Session, more: dict[str, Any]) -> Response:
        now = self._clock()
        deadlines = self._tabs.deadlines(session)
        idle, absolute = deadlines.idle, deadlines.absolute
        if min(absolute if idle is None else idle, absolute) - now <= self._warn_before + _SURE:
            try:
                session = await self._sessions.refresh(session)
            except SessionOver as error:
                context_of(request).ended = error.ended
                context_of(request).session = None
                return self._refused(request)
            deadlines = self._tabs.deadlines(session)
            idle, absolute = deadlines.idle, deadlines.absolute
        return JSONResponse(
            {
                "user": session.user.login,
                "since": session.record.created_at,
                "now": now,
                "idle_end": idle,
                "absolute_end": absolute,
                "remembered": session.record.remembered,
                **self._fixed,
                **more,
            }
        )

    def _ours(self, request: Request, *, beacon: bool = False) -> bool:
        if not self._csrf.from_own_origin(request):
            return False
        if beacon:
            return "sec-fetch-site" in request.headers or "origin" in request.headers
        return HEADER in request.headers

    def _refused(self, request: Request) -> Response:
        context = context_of(request)
        if context.session is None:
            error = "unauthenticated" if context.ended is None else f"session_{context.ended.value}"
            return JSONResponse({"error": error, "request_id": context.request_id}, status_code=401)
        if not context.session.complete:
            error = f"session_{EndReason.UNFINISHED.value}"
            return JSONResponse({"error": error, "request_id": context.request_id}, status_code=401)
        return JSONResponse({"error": "foreign_origin", "request_id": context.request_id}, status_code=403)


def _ago(request: Request) -> float:
    """Seconds; what is not a number of them is now."""
    try:
        ago = float(request.query_params.get("ago", "0"))
    except ValueError:
        return 0.0
    return ago if ago > 0 else 0.0
