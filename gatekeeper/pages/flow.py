"""The way through a sign-in: which page comes next, and what happens when the last step is done.

The session says which step is still to do (`core.steps`). Every page of the way asks it first, so a reload,
another tab, or an address typed by hand all lead to the step that is due.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.audit.events import Source
from gatekeeper.core.returns import safe_return
from gatekeeper.core.session import EndReason, Session
from gatekeeper.core.steps import Step
from gatekeeper.pages.bounce import Bounces
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.form_guard import client_of
from gatekeeper.pages.page import context_of, see_other
from gatekeeper.pages.services import PasswordSignIn, SecondFactors, Sessions
from gatekeeper.pages.session_cookie import BrowserSession, Held, user_agent_of
from gatekeeper.sessions.errors import SessionOver

_PAGES = {
    Step.PASSWORD: "login",
    Step.SECOND_FACTOR: "login/2fa",
    Step.NEW_PASSWORD: "password",
    Step.SET_UP: "2fa/setup",
    Step.WELCOME: "welcome",
}
BACK = "/session/back"
"""Where signing in again in a window of its own ends (`pages.session_state`)."""

_OWN_TARGETS = ("/account", "/password", "/kept", BACK)
"""Pages of ours that a person may want to go to by signing in."""

WANTS_TRUST = Step.SECOND_FACTOR.value
"""In `SessionRecord.skipped`: the person asked not to be asked for codes in this browser any more."""


class SignInFlow:
    """What the pages of a sign-in share."""

    def __init__(
        self,
        *,
        sign_in: PasswordSignIn,
        second_factors: SecondFactors,
        sessions: Sessions,
        holder: BrowserSession,
        memory: BrowserMemory,
        bounces: Bounces,
        prefix: str,
    ) -> None:
        self._sign_in = sign_in
        self._second_factors = second_factors
        self._sessions = sessions
        self._holder = holder
        self._memory = memory
        self._bounces = bounces
        self._prefix = prefix

    def target(self, value: str) -> str:
        """Where to go in the end: a path of the application, or one of our own that is a place to go to."""
        if value in [self._prefix + page for page in _OWN_TARGETS]:
            return value
        return safe_return(value, self._prefix)

    def asked(self, request: Request) -> str:
        """The same from the address of a page."""
        return self.target(request.query_params.get("next", "/"))

    def page_of(self, step: str, target: str) -> str:
        """The address of a step's page."""
        return self._with_next(_PAGES[Step(step)], target)

    def sign_in_page(self, target: str, ended: str = "") -> Response:
        """Back to the beginning; `ended` says why."""
        location = self._with_next("login", target)
        if ended:
            location += ("&" if "?" in location else "?") + "ended=" + ended
        return see_other(location)

    async def enter(self, request: Request, target: str, *steps: Step) -> Session | Response:
        """The session, when one of `steps` is what it has to do next; else the way to where it has to go.

        Asks the store, not the cache: what was locked, disabled or done elsewhere counts at once.
        Raises StoreUnavailable.
        """
        context = context_of(request)
        if context.session is None:
            return self._over(context.ended, target, steps)
        try:
            session = await self._sessions.refresh(context.session)
        except SessionOver as error:
            return self._over(error.ended, target, steps)
        if not session.complete and await self._sign_in.locked(session.user.id, self._memory.device(request)):
            return await self.stop_locked(session, target)
        if session.step in steps:
            return session
        if not session.complete:
            return see_other(self.page_of(session.step, target))
        if not context.session.complete:  # done by something that happened elsewhere
            return await self.go_on_unchanged(request, session, target)
        response = see_other(target)
        self._bounces.count(request, response, target)
        return response

    async def current(self, request: Request) -> Session | None:
        """The browser's session as the store has it now; None when it is over. Raises StoreUnavailable.

        The gate may know a session for a second longer than it lives: a page that redirects by it alone
        would send the browser round in circles.
        """
        session = context_of(request).session
        if session is None or session.complete:
            return session
        try:
            return await self._sessions.refresh(session)
        except SessionOver:
            return None

    async def stop_locked(self, session: Session, target: str) -> Response:
        """Give up a half-finished sign-in to an account that has been locked."""
        await self._sessions.end(session, EndReason.REVOKED)
        return self.sign_in_page(target, "locked")

    async def locked(self, request: Request, session: Session) -> bool:
        """Whether this sign-in may not go on."""
        return await self._sign_in.locked(session.user.id, self._memory.device(request))

    async def go_on(self, request: Request, held: Held, target: str) -> Response:
        """To the next step's page, or to `target` when nothing is left to do. Sets the session cookie.

        Raises StoreUnavailable.
        """
        response = await self.go_on_unchanged(request, held.session, target)
        self._holder.keep(response, held)
        return response

    async def go_on_unchanged(self, request: Request, session: Session, target: str) -> Response:
        """The same when the session has kept its id."""
        if not session.complete:
            return see_other(self.page_of(session.step, target))
        response = see_other(target)
        try:
            await self.completed(request, response, session)
        except InvalidCredentials:
            return await self.stop_locked(session, target)
        self._bounces.count(request, response, target)
        return response

    async def completed(self, request: Request, response: Response, session: Session) -> None:
        """Every step is done: note it, and know this browser from now on.

        Raises InvalidCredentials when the account was locked at the last moment, and StoreUnavailable.
        """
        device = await self._sign_in.completed(
            session,
            device=self._memory.device(request),
            client=client_of(request),
            user_agent=user_agent_of(request),
            request_id=context_of(request).request_id,
        )
        self._memory.keep_device(response, device)
        if WANTS_TRUST in session.record.skipped.split() and session.record.second_factor_at > 0:
            by = source_of(request, session.user.login)
            await self._second_factors.trust(session.user, device, by=by)

    def _over(self, ended: EndReason | None, target: str, steps: tuple[Step, ...]) -> Response:
        """The sign-in page, with words when something was under way."""
        if ended is None or ended is EndReason.SIGNED_OUT or ended is EndReason.REPLACED:
            return self.sign_in_page(target)
        if ended in (EndReason.IDLE, EndReason.REVOKED, EndReason.CLOSED):
            return self.sign_in_page(target, ended.value)
        return self.sign_in_page(target, "absolute" if steps == (Step.DONE,) else "unfinished")

    def _with_next(self, page: str, target: str) -> str:
        location = f"{self._prefix}/{page}"
        return location if target == "/" else f"{location}?next={quote(target, safe='/')}"


def source_of(request: Request, login: str) -> Source:
    """On whose behalf a page does something."""
    return Source(login, client_of(request), context_of(request).request_id)
