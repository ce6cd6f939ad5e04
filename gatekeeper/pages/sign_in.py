"""The sign-in page. One message for everything that is wrong: same words, same status, same body."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import TRUSTED
from gatekeeper.pages.bounce import Bounces
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import SignInFlow
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import PasswordSignIn, SecondFactors
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.sso_buttons import SsoButtons
from gatekeeper.pages.trouble import TROUBLE, trouble_of
from gatekeeper.sessions.errors import SessionOver

# 403, not 401: a 401 must name an HTTP authentication scheme (RFC 9110 section 15.5.2). Browsers' password
# managers do not offer to save what was answered with it.
REFUSED = 403

ENDED = frozenset(
    {"idle", "absolute", "revoked", "signed_out", "unfinished", "locked", "password_set", "closed"}
)
"""The values of `ended=` that have words; anything else shows nothing."""


class View(NamedTuple):
    """What the sign-in page shows besides its fields. `problem` and `ended` are codes for the template."""

    next: str
    login: str = ""
    problem: str = ""
    ended: str = ""
    remember: bool | None = None
    """Whether the box is ticked; None when there is no box."""


class SignInPage:
    """GET shows the form, POST signs in."""

    def __init__(
        self,
        *,
        sign_in: PasswordSignIn,
        second_factors: SecondFactors,
        sessions: BrowserSession,
        memory: BrowserMemory,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        bounces: Bounces,
        buttons: SsoButtons,
        can_remember: bool,
    ) -> None:
        self._sign_in = sign_in
        self._second_factors = second_factors
        self._sessions = sessions
        self._memory = memory
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._bounces = bounces
        self._buttons = buttons
        self._can_remember = can_remember

    async def show(self, request: Request) -> Response:
        """The form; whoever is signed in already, or half, goes on to where they wanted to go.

        Unless they want to sign in again (`again`), because the session is about to end.
        """
        address = self._flow.asked(request)
        session = await self._flow.current(request)
        looping = self._bounces.exhausted(request, address)
        if session is not None and not session.complete and session.step != "password":
            return see_other(self._flow.page_of(session.step, address))
        again = session is not None and session.complete and "again" in request.query_params
        if session is not None and session.complete and not again:
            if not looping:
                response = see_other(address)
                self._bounces.count(request, response, address)
                return response
            response = self._pages.answer(request, "loop.html", next=address, user=session.user)
            self._bounces.forget(response)
            return response
        ended = request.query_params.get("ended", "")
        view = View(
            address,
            login=session.user.login if session is not None and again else "",
            problem="lost_cookie" if looping else "",
            ended=ended if ended in ENDED else "",
            remember=self._memory.ticked(request) if self._can_remember else None,
        )
        response = self._page(request, view)
        if looping:
            self._bounces.forget(response)
        return response

    async def submit(self, request: Request) -> Response:
        """Sign in with login and password, then go on to the next step, or to `next`."""
        posted = await self._guard.read(request)
        login, password = posted.field("login"), posted.field("password")
        remember = posted.field("remember") != ""
        view = View(
            self._flow.target(posted.field("next") or "/"),
            login=login,
            remember=remember if self._can_remember else None,
        )
        if posted.problem:
            return self._page(request, view._replace(problem=posted.problem), status=REFUSED)
        if not login.strip() or not password:
            return self._page(request, view._replace(problem="invalid"), status=REFUSED)
        device = self._memory.device(request)
        try:
            user = await self._sign_in.password(
                login,
                password,
                device=device,
                client=client_of(request),
                request_id=context_of(request).request_id,
            )
            methods = await self._methods(user, device)
            held = await self._sessions.begin(request, user, methods=methods, remembered=remember)
            response = await self._flow.go_on(request, held, view.next)
        except (InvalidCredentials, SessionOver):  # the latter: disabled while we were at it
            return self._page(request, view._replace(problem="invalid"), status=REFUSED)
        except TROUBLE as error:
            trouble = trouble_of(request, error)
            return self._page(
                request,
                view._replace(problem=trouble.problem),
                status=trouble.status,
                headers=trouble.headers,
            )
        if self._can_remember:
            self._memory.keep_ticked(response, remember)
        return response

    async def _methods(self, user: UserRecord, device: str | None) -> str:
        """What was proved; a browser that the person trusts stands in for a code."""
        if user.second_factor and await self._second_factors.trusted(user, device):
            return f"pwd {TRUSTED}"
        return "pwd"

    def _page(
        self, request: Request, view: View, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        return self._pages.answer(
            request,
            "login.html",
            status=status,
            headers=headers,
            view=view,
            buttons=self._buttons.buttons(view.next),
            trouble=self._buttons.help(request),
        )
