"""A new password, because one must be chosen or because the person wants one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.core.session import Session
from gatekeeper.core.steps import PASSWORD_SKIPPED, Step, StepPolicy, Why, why_new_password
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import SignInFlow, source_of
from gatekeeper.pages.form_errors import WRONG_PASSWORD, Errors, PasswordWords
from gatekeeper.pages.form_guard import FormGuard, Posted
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.page import Pages, see_other
from gatekeeper.pages.services import PasswordChanges, Sessions
from gatekeeper.pages.session_cookie import BrowserSession, Held
from gatekeeper.pages.trouble import TROUBLE, trouble_of
from gatekeeper.sessions.errors import SessionOver


class PasswordPage:
    """GET shows the form and why, POST changes the password and goes on.

    In the middle of a sign-in the old password was proved minutes ago; from the account page it is asked for.
    """

    def __init__(
        self,
        *,
        passwords: PasswordChanges,
        sessions: Sessions,
        holder: BrowserSession,
        memory: BrowserMemory,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        locale: Locale,
        words: PasswordWords,
        policy: StepPolicy,
        prefix: str,
    ) -> None:
        self._passwords = passwords
        self._sessions = sessions
        self._holder = holder
        self._memory = memory
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._locale = locale
        self._words = words
        self._policy = policy
        self._own = f"{prefix}/password"
        self._account = f"{prefix}/account"

    async def show(self, request: Request) -> Response:
        """The form. Whoever is not signed in comes back here after signing in."""
        target = self._target(request.query_params.get("next", ""))
        session = await self._enter(request, target)
        return session if isinstance(session, Response) else self._page(request, session, target, {})

    async def submit(self, request: Request) -> Response:
        """Change it, or skip where that may be; then on, under a new session id."""
        posted = await self._guard.read(request)
        target = self._target(posted.field("next"))
        session = await self._enter(request, target)
        if isinstance(session, Response):
            return session
        if target == self._own and not session.complete:  # changing it once is enough
            target = "/"
        if posted.problem:
            return self._page(request, session, target, {}, problem=posted.problem, status=403)
        try:
            if posted.field("skip") and not session.complete:
                session = await self._sessions.skip(session, PASSWORD_SKIPPED)
                return await self._flow.go_on_unchanged(request, session, target)
            errors = self._words.first_look(posted.field("new_password"), posted.field("confirm_password"))
            if errors:
                return self._page(request, session, target, errors, status=422)
            held = await self._change(request, session, posted)
        except SessionOver:
            return self._flow.sign_in_page(target)
        except InvalidCredentials:
            errors = {"password": [self._locale.text(WRONG_PASSWORD)]}
            return self._page(request, session, target, errors, status=403)
        except AccountError as error:
            if error.reason != "bad_password":  # disabled, or changed by somebody else just now
                return self._flow.sign_in_page(target, "revoked")
            errors = {"new_password": self._words.problems(error)}
            return self._page(request, session, target, errors, status=422)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return self._page(request, session, target, {}, problem=problem, status=status, headers=headers)
        if session.complete:
            response = self._pages.answer(request, "password-changed.html", back=self._account, sign_in=False)
            self._holder.keep(response, held)
            return response
        return await self._flow.go_on(request, held, target)

    async def _enter(self, request: Request, target: str) -> Session | Response:
        """Whoever has no password here has none to change, and is not to guess at one until locked."""
        session = await self._flow.enter(request, target, Step.NEW_PASSWORD, Step.DONE)
        if isinstance(session, Response) or not session.complete or session.user.has_password:
            return session
        return see_other(self._account)

    async def _change(self, request: Request, session: Session, posted: Posted) -> Held:
        await self._passwords.change(
            session.user,
            posted.field("new_password"),
            current=posted.field("password") if session.complete else None,
            by=source_of(request, session.user.login),
            keep=session.record.key,
            device=self._memory.device(request),
        )
        return await self._holder.step_up(await self._sessions.refresh(session))

    def _target(self, value: str) -> str:
        """Where to go afterwards; whoever came here by the address itself is to come back here."""
        return self._flow.target(value) if value else self._own

    def _page(
        self,
        request: Request,
        session: Session,
        target: str,
        errors: Errors,
        *,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        why = Why.NOT if session.complete else why_new_password(session.record, session.user, self._policy)
        return self._pages.answer(
            request,
            "password.html",
            status=status,
            headers=headers,
            user=session.user,
            next="/" if target == self._own else target,
            why=why.value,
            can_skip=why is Why.FIRST_LOGON and self._policy.first_logon == "encourage",
            voluntary=session.complete,
            rules=self._words.rules(self._passwords.least(session.user)),
            max_age_days=_days(self._policy.password_max_age),
            unused_days=_days(self._policy.password_unused),
            back=self._account,
            errors=errors,
            problem=problem,
        )


def _days(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds / 86_400)
