"""Signing out: a GET asks, a POST does it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.audit.events import EventKind
from gatekeeper.core.returns import safe_return
from gatekeeper.core.session import Session
from gatekeeper.pages.bounce import Bounces
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Audit
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.sso_services import IDP, SignInProvider


class SignOutPages:
    """Asks, signs out, and says that it is done."""

    def __init__(
        self,
        *,
        sessions: BrowserSession,
        audit: Audit,
        guard: FormGuard,
        pages: Pages,
        bounces: Bounces,
        providers: Mapping[str, SignInProvider],
        prefix: str,
    ) -> None:
        self._sessions = sessions
        self._audit = audit
        self._guard = guard
        self._pages = pages
        self._bounces = bounces
        self._providers = providers
        self._prefix = prefix

    async def ask(self, request: Request) -> Response:
        """A link can be followed by mistake, or from another site: it only leads to the question."""
        session = context_of(request).session
        if session is None:
            return see_other(f"{self._prefix}/signed-out")
        return self._ask(request, session, back=self._back(request.query_params.get("next", "")))

    def _ask(
        self, request: Request, session: Session, *, back: str, problem: str = "", status: int = 200
    ) -> Response:
        return self._pages.answer(
            request,
            "logout.html",
            status=status,
            user=session.user,
            complete=session.complete,
            problem=problem,
            back=back,
            next=back or None,
        )

    def _back(self, asked: str) -> str:
        """The application's page to go to afterwards, "" when none was asked for."""
        return safe_return(asked, self._prefix) if asked else ""

    async def by_application(self, request: Request, front: str) -> Response:
        """One of the application's own forms signs out; the gate has made sure that it is one."""
        background = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
        response = Response(status_code=204) if background else see_other(self._back(front) or "/")
        await self._end(request, response)
        return response

    async def do(self, request: Request) -> Response:
        """End the session, then say so; with `then=login` on to sign in as somebody else."""
        posted = await self._guard.read(request)
        session = context_of(request).session
        if posted.problem:
            if session is None:
                # Another site's form comes without our cookies (SameSite): it must not clear them either.
                return see_other(f"{self._prefix}/signed-out")
            back = self._back(posted.field("back"))
            return self._ask(request, session, back=back, problem=posted.problem, status=403)
        if posted.field("then") == "login":
            address = safe_return(posted.field("next") or "/", self._prefix)
            response = see_other(f"{self._prefix}/login?next={quote(address, safe='/')}")
        elif (back := self._back(posted.field("back"))) and not self._from(session):
            response = see_other(back)
        else:
            response = see_other(f"{self._prefix}/signed-out{self._from(session)}")
        await self._end(request, response)
        return response

    async def _end(self, request: Request, response: Response) -> None:
        session = context_of(request).session
        await self._sessions.end(request, response)
        self._bounces.forget(response)
        # The application's pages may be in the HTTP and back/forward caches of a shared computer.
        response.headers["clear-site-data"] = '"cache"'
        if session is not None:
            await self._audit.record(
                EventKind.SIGNED_OUT,
                user_id=session.user.id,
                login=session.user.login,
                actor=session.user.login,
                client=client_of(request),
                request_id=context_of(request).request_id,
            )

    async def done(self, request: Request) -> Response:
        """ "You have signed out", unless that is not so."""
        session = context_of(request).session
        if session is not None and session.complete:
            return see_other(f"{self._prefix}/logout")
        entry = self._providers.get(request.query_params.get("from", ""))
        there = entry is not None and entry.sign_out
        return self._pages.answer(
            request,
            "signed-out.html",
            provider=entry.provider.label if entry is not None and there else "",
            there=f"{self._prefix}/sso/{entry.provider.name}/sign-out" if entry is not None and there else "",
        )

    def _from(self, session: Session | None) -> str:
        """The provider that vouched for the person, where signing out goes on to it.

        Not at once: `form-action 'self'` also holds for where a form's redirects lead.
        """
        methods = session.record.methods.split() if session is not None else []
        for name, entry in self._providers.items():
            if entry.sign_out and IDP + name in methods:
                return f"?from={name}"
        return ""
