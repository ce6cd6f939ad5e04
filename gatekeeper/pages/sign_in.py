"""The sign-in page. One message for everything that is wrong: same words, same status, same body."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.core.errors import Undecidable
from gatekeeper.core.returns import safe_return
from gatekeeper.pages.bounce import Bounces
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import PasswordSignIn
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.sessions.errors import SessionOver

# 403, not 401: a 401 must name an HTTP authentication scheme (RFC 9110 section 15.5.2). Browsers' password
# managers do not offer to save what was answered with it.
REFUSED = 403

ENDED = frozenset({"idle", "absolute", "revoked", "signed_out"})
"""The values of `ended=` that have words; anything else shows nothing."""


class View(NamedTuple):
    """What the sign-in page shows besides its fields. `problem` and `ended` are codes for the template."""

    next: str
    login: str = ""
    problem: str = ""
    ended: str = ""


class SignInPage:
    """GET shows the form, POST signs in."""

    def __init__(
        self,
        *,
        sign_in: PasswordSignIn,
        sessions: BrowserSession,
        guard: FormGuard,
        pages: Pages,
        bounces: Bounces,
        prefix: str,
    ) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._guard = guard
        self._pages = pages
        self._bounces = bounces
        self._prefix = prefix

    async def show(self, request: Request) -> Response:
        """The form; whoever is signed in already goes on to where they wanted to go."""
        address = safe_return(request.query_params.get("next", "/"), self._prefix)
        session = context_of(request).session
        looping = self._bounces.exhausted(request, address)
        if session is not None and session.complete:
            if not looping:
                response = see_other(address)
                self._bounces.count(request, response, address)
                return response
            response = self._pages.answer(request, "loop.html", next=address, user=session.user)
            self._bounces.forget(response)
            return response
        ended = request.query_params.get("ended", "")
        view = View(address, problem="lost_cookie" if looping else "", ended=ended if ended in ENDED else "")
        response = self._page(request, view)
        if looping:
            self._bounces.forget(response)
        return response

    async def submit(self, request: Request) -> Response:
        """Sign in with login and password, then go on to `next`."""
        posted = await self._guard.read(request)
        login = posted.field("login")
        view = View(safe_return(posted.field("next") or "/", self._prefix), login=login)
        if posted.problem:
            return self._page(request, view._replace(problem=posted.problem), status=REFUSED)
        if not login.strip() or not posted.field("password"):
            return self._page(request, view._replace(problem="invalid"), status=REFUSED)
        response = see_other(view.next)
        try:
            user = await self._sign_in.password(
                login,
                posted.field("password"),
                client=client_of(request),
                request_id=context_of(request).request_id,
            )
            await self._sessions.begin(request, response, user, methods="pwd")
        except (InvalidCredentials, SessionOver):  # the latter: disabled while we were at it
            return self._page(request, view._replace(problem="invalid"), status=REFUSED)
        except Undecidable as error:
            busy = view._replace(problem="busy")
            return self._page(request, busy, status=503, headers={"retry-after": str(error.retry_after)})
        self._bounces.count(request, response, view.next)
        return response

    def _page(
        self, request: Request, view: View, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        return self._pages.answer(request, "login.html", status=status, headers=headers, view=view)
