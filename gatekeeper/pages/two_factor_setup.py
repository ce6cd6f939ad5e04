"""Setting up the second factor: QR code, the key as text, the first code; then the recovery codes, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import InvalidCode, InvalidCredentials
from gatekeeper.core.session import Session
from gatekeeper.core.steps import FEDERATED, Step
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import SignInFlow, source_of
from gatekeeper.pages.form_errors import WRONG_CODE, WRONG_PASSWORD, Errors
from gatekeeper.pages.form_guard import FormGuard, Posted, client_of
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.password_proof import PasswordProof
from gatekeeper.pages.services import PasswordSignIn, SecondFactors, Sessions
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.trouble import TROUBLE, trouble_of
from gatekeeper.sessions.errors import SessionOver


class TwoFactorSetupPage:
    """GET shows what to scan, POST checks the first code and shows the recovery codes.

    In the middle of a sign-in the password was just proved; later it is asked for again before anything is
    shown, so that nobody at an open screen can shut the owner out or take a copy.
    """

    def __init__(
        self,
        *,
        second_factors: SecondFactors,
        sign_in: PasswordSignIn,
        qr: Callable[[str], str],
        proof: PasswordProof,
        sessions: Sessions,
        holder: BrowserSession,
        memory: BrowserMemory,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        locale: Locale,
        prefix: str,
        offered: bool,
    ) -> None:
        self._second_factors = second_factors
        self._sign_in = sign_in
        self._qr = qr
        self._proof = proof
        self._sessions = sessions
        self._holder = holder
        self._memory = memory
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._locale = locale
        self._account = f"{prefix}/account"
        self._offered = offered

    async def show(self, request: Request) -> Response:
        """What to scan, the same on a reload; or first the question for the password."""
        target = self._flow.asked(request)
        session = await self._enter(request, target)
        if isinstance(session, Response):
            return session
        return await self._page(request, session, target, {}, proved=self._proved(session))

    async def submit(self, request: Request) -> Response:
        """Check the first code; then the recovery codes, under a new session id."""
        posted = await self._guard.read(request)
        target = self._flow.target(posted.field("next") or "/")
        session = await self._enter(request, target)
        if isinstance(session, Response):
            return session
        proved = self._proved(session, posted.field("proof"))
        if posted.problem:
            return await self._page(
                request, session, target, {}, proved=proved, problem=posted.problem, status=403
            )
        try:
            if not proved:
                await self._prove_password(request, session, posted)
                return await self._page(request, session, target, {}, proved=True)
            codes = await self._second_factors.confirm(
                session.user,
                posted.field("code"),
                by=source_of(request, session.user.login),
                session=session.record.key,
            )
            session_now = await self._sessions.refresh(session)
            held = await self._holder.step_up(session_now, method="otp", second_factor=True)
        except InvalidCredentials:
            errors = {"password": [self._locale.text(WRONG_PASSWORD)]}
            return await self._page(request, session, target, errors, proved=False, status=403)
        except InvalidCode:
            if not session.complete and await self._flow.locked(request, session):
                return await self._flow.stop_locked(session, target)
            errors = {"code": [self._locale.text(WRONG_CODE)]}
            return await self._page(request, session, target, errors, proved=True, status=403)
        except SessionOver:
            return self._flow.sign_in_page(target)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return await self._page(
                request, session, target, {}, proved=proved, problem=problem, status=status, headers=headers
            )
        response = recovery_codes_page(self._pages, request, codes, target)
        if held.session.complete and not session.complete:
            try:
                await self._flow.completed(request, response, held.session)
            except InvalidCredentials:
                return await self._flow.stop_locked(held.session, target)
        self._holder.keep(response, held)
        return response

    async def saved(self, request: Request) -> Response:
        """The recovery codes were put away: go on."""
        posted = await self._guard.read(request)
        target = self._flow.target(posted.field("next") or "/")
        session = await self._flow.enter(request, target, Step.DONE)
        return session if isinstance(session, Response) else see_other(target)

    async def _enter(self, request: Request, target: str) -> Session | Response:
        session = await self._flow.enter(request, target, Step.SET_UP, Step.DONE)
        if isinstance(session, Response) or not session.complete:
            return session
        return see_other(self._account) if session.user.second_factor or not self._offered else session

    def _proved(self, session: Session, proof: str = "") -> bool:
        """Whether the person was there just now. A provider's word counts as long as a password does: whoever
        signs in there may have no password here.
        """
        record = session.record
        if not session.complete or self._proof.holds(proof, record.key):
            return True
        return _federated(session) and self._proof.recent(record.first_factor_at)

    async def _prove_password(self, request: Request, session: Session, posted: Posted) -> None:
        await self._sign_in.password(
            session.user.login,
            posted.field("password"),
            device=self._memory.device(request),
            client=client_of(request),
            request_id=context_of(request).request_id,
        )

    async def _page(
        self,
        request: Request,
        session: Session,
        target: str,
        errors: Errors,
        *,
        proved: bool,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        shown: dict[str, object] = {"setup": None}
        if proved:
            setup = await self._second_factors.begin(session.user, session=session.record.key)
            shown["setup"] = setup
            shown["qr"] = Markup(self._qr(setup.uri))  # noqa: S704 - markup of our own making
            shown["proof"] = self._proof.give(session.record.key) if session.complete else ""
        return self._pages.answer(
            request,
            "two-factor-setup.html",
            status=status,
            headers=headers,
            user=session.user,
            next=target,
            **shown,
            voluntary=session.complete,
            federated=_federated(session),
            back=self._account,
            errors=errors,
            problem=problem,
        )


def _federated(session: Session) -> bool:
    return FEDERATED in session.record.methods.split()


def recovery_codes_page(pages: Pages, request: Request, codes: Sequence[str], target: str) -> Response:
    """The only time that these codes are shown. `target` is where the person goes on."""
    return pages.answer(request, "recovery-codes.html", codes=codes, next=target)
