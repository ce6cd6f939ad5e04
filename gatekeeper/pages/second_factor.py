"""The page that asks for the second factor: a code of the authenticator app, or a recovery code."""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import InvalidCode
from gatekeeper.core.session import Session
from gatekeeper.core.steps import Step
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import WANTS_TRUST, SignInFlow
from gatekeeper.pages.form_errors import WRONG_CODE
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import SecondFactors, Sessions
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.sign_in import REFUSED
from gatekeeper.pages.trouble import TROUBLE, trouble_of
from gatekeeper.sessions.errors import SessionOver


class SecondFactorPage:
    """GET shows the field, POST checks the code.

    With `stepup=1` in the middle of a session, too: a rule asked for a proof that the session does not have,
    or for a fresher one.
    """

    def __init__(
        self,
        *,
        second_factors: SecondFactors,
        sessions: Sessions,
        holder: BrowserSession,
        memory: BrowserMemory,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        locale: Locale,
    ) -> None:
        self._second_factors = second_factors
        self._sessions = sessions
        self._holder = holder
        self._memory = memory
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._locale = locale

    async def show(self, request: Request) -> Response:
        """The field; `?recovery=1` asks for a recovery code instead."""
        target = self._flow.asked(request)
        session = await self._enter(request, target, step_up=request.query_params.get("stepup") == "1")
        if isinstance(session, Response):
            return session
        return self._page(request, session, target, recovery=request.query_params.get("recovery") == "1")

    async def submit(self, request: Request) -> Response:
        """Check the code, note that it was proved under a new session id, and go on."""
        posted = await self._guard.read(request)
        target = self._flow.target(posted.field("next") or "/")
        session = await self._enter(request, target, step_up=posted.field("stepup") == "1")
        if isinstance(session, Response):
            return session
        recovery = posted.field("recovery") == "1"
        can_trust = self._second_factors.trust_for is not None and not session.complete
        trust = can_trust and posted.field("trust") != ""
        if posted.problem:
            return self._page(
                request,
                session,
                target,
                recovery=recovery,
                trust=trust,
                problem=posted.problem,
                status=REFUSED,
            )
        try:
            method = await self._second_factors.verify(
                session.user,
                posted.field("code"),
                device=self._memory.device(request),
                client=client_of(request),
                request_id=context_of(request).request_id,
            )
            if trust:
                session = await self._sessions.skip(session, WANTS_TRUST)
            held = await self._holder.step_up(session, method=method, second_factor=True)
            return await self._flow.go_on(request, held, target)
        except InvalidCode:
            if await self._flow.locked(request, session):
                return await self._flow.stop_locked(session, target)
            return self._page(
                request, session, target, recovery=recovery, trust=trust, problem="code", status=REFUSED
            )
        except SessionOver:
            return self._flow.sign_in_page(target)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return self._page(
                request,
                session,
                target,
                recovery=recovery,
                trust=trust,
                problem=problem,
                status=status,
                headers=headers,
            )

    async def _enter(self, request: Request, target: str, *, step_up: bool) -> Session | Response:
        if not step_up:
            return await self._flow.enter(request, target, Step.SECOND_FACTOR)
        session = await self._flow.enter(request, target, Step.SECOND_FACTOR, Step.DONE)
        if isinstance(session, Response) or not session.complete or session.user.second_factor:
            return session
        return see_other(self._flow.page_of(Step.SET_UP, target))

    def _page(
        self,
        request: Request,
        session: Session,
        target: str,
        *,
        recovery: bool,
        trust: bool = False,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        other = self._flow.page_of(Step.SECOND_FACTOR, target)
        if session.complete:
            other += ("&" if "?" in other else "?") + "stepup=1"
        trust_for = 0.0 if session.complete else self._second_factors.trust_for or 0.0
        return self._pages.answer(
            request,
            "code.html",
            status=status,
            headers=headers,
            user=session.user,
            next=target,
            recovery=recovery,
            trust=trust,
            trust_days=math.ceil(trust_for / 86_400),
            step_up=session.complete,
            problem=problem,
            errors={"code": [self._locale.text(WRONG_CODE)]} if problem == "code" else {},
            other=other,
        )
