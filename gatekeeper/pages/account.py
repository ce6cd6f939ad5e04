"""A person's own account: password, second factor, sessions, and what happened lately."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError, InvalidCode
from gatekeeper.core.browsers import browser_and_system
from gatekeeper.core.clock import Clock
from gatekeeper.core.session import EndReason, Session
from gatekeeper.core.steps import Step, StepPolicy, must_set_up
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import SignInFlow, source_of
from gatekeeper.pages.form_errors import WRONG_CODE, Errors
from gatekeeper.pages.form_guard import FormGuard, Posted, client_of
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import History, SecondFactors, Sessions
from gatekeeper.pages.trouble import TROUBLE, trouble_of
from gatekeeper.pages.two_factor_setup import recovery_codes_page
from gatekeeper.pages.when import Moment, moment
from gatekeeper.sessions.errors import SessionOver

_HISTORY = 20
_DONE = frozenset({"session_ended", "others_ended", "second_factor_removed"})
"""The values of `done=` that have words."""


class _SessionLine(NamedTuple):
    public_id: str
    browser: str
    system: str
    client: str
    began: Moment
    seen: Moment
    here: bool


class _HistoryLine(NamedTuple):
    at: Moment
    kind: str
    client: str


class AccountPage:
    """GET shows everything, POST does one of the things that the buttons are for."""

    def __init__(
        self,
        *,
        second_factors: SecondFactors,
        sessions: Sessions,
        history: History,
        memory: BrowserMemory,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        locale: Locale,
        policy: StepPolicy,
        clock: Clock,
        prefix: str,
    ) -> None:
        self._second_factors = second_factors
        self._sessions = sessions
        self._history = history
        self._memory = memory
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._locale = locale
        self._policy = policy
        self._clock = clock
        self._own = f"{prefix}/account"

    async def show(self, request: Request) -> Response:
        """Everything; `?done=` says what was just done."""
        session = await self._flow.enter(request, self._own, Step.DONE)
        if isinstance(session, Response):
            return session
        done = request.query_params.get("done", "")
        return await self._page(request, session, done=done if done in _DONE else "")

    async def submit(self, request: Request) -> Response:
        """One thing, by the form's field `do`."""
        posted = await self._guard.read(request)
        session = await self._flow.enter(request, self._own, Step.DONE)
        if isinstance(session, Response):
            return session
        if posted.problem:
            return await self._page(request, session, problem=posted.problem, status=403)
        try:
            return await self._do(request, session, posted)
        except (InvalidCode, AccountError):
            errors = {_code_field(posted): [self._locale.text(WRONG_CODE)]}
            return await self._page(request, session, errors=errors, status=403)
        except SessionOver:
            return self._flow.sign_in_page(self._own)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return await self._page(request, session, problem=problem, status=status, headers=headers)

    async def _do(self, request: Request, session: Session, posted: Posted) -> Response:
        what, user = posted.field("do"), session.user
        if what == "end_session":
            await self._sessions.end_listed(user.id, posted.field("session"), EndReason.REVOKED)
            return self._done("session_ended")
        if what == "end_others":
            await self._sessions.end_user(user.id, EndReason.REVOKED, keep=session.record.key)
            return self._done("others_ended")
        if what == "new_codes" and user.second_factor:
            await self._prove_code(request, session, posted)
            codes = await self._second_factors.new_recovery_codes(user, source_of(request, user.login))
            return recovery_codes_page(self._pages, request, codes, self._own)
        if what == "remove_second_factor" and user.second_factor:
            await self._prove_code(request, session, posted)
            by = source_of(request, user.login)
            await self._second_factors.remove(user, by, keep=session.record.key)
            session = await self._sessions.refresh(session)
            if session.complete:
                return self._done("second_factor_removed")
            return see_other(self._flow.page_of(session.step, self._own))
        return see_other(self._own)

    async def _prove_code(self, request: Request, session: Session, posted: Posted) -> None:
        """ASVS 5.0 V7.5.1: a change of the factors needs one of them. Raises InvalidCode, RateLimited."""
        await self._second_factors.verify(
            session.user,
            posted.field("code"),
            device=self._memory.device(request),
            client=client_of(request),
            request_id=context_of(request).request_id,
        )

    def _done(self, what: str) -> Response:
        return see_other(f"{self._own}?done={what}")

    async def _page(
        self,
        request: Request,
        session: Session,
        *,
        errors: Errors | None = None,
        done: str = "",
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        user = session.user
        without = user._replace(second_factor=False)
        return self._pages.answer(
            request,
            "account.html",
            status=status,
            headers=headers,
            user=user,
            password_changed=moment(user.password_changed_at),
            expires_in=self._expires_in(session),
            two_factor=self._policy.two_factor != "off",
            mandatory=must_set_up(without, self._policy),
            codes_left=await self._second_factors.recovery_codes_left(user.id) if user.second_factor else 0,
            sessions=await self._sessions_of(session),
            history=await self._history_of(user.id),
            errors=errors or {},
            done=done,
            problem=problem,
        )

    def _expires_in(self, session: Session) -> int | None:
        """Days until a new password is asked for; None when it never is."""
        if self._policy.password_max_age is None:
            return None
        left = session.user.password_changed_at + self._policy.password_max_age - self._clock()
        return max(0, math.ceil(left / 86_400))

    async def _sessions_of(self, session: Session) -> Sequence[_SessionLine]:
        lines = []
        for record in await self._sessions.list(session.user.id):
            browser, system = browser_and_system(record.user_agent)
            lines.append(
                _SessionLine(
                    record.public_id,
                    browser,
                    system,
                    record.client,
                    moment(record.created_at),
                    moment(record.last_seen_at),
                    record.key == session.record.key,
                )
            )
        return sorted(lines, key=lambda line: not line.here)

    async def _history_of(self, user_id: int) -> Sequence[_HistoryLine]:
        events = await self._history.of(user_id, _HISTORY)
        return [_HistoryLine(moment(event.at), event.kind, event.client) for event in events]


def _code_field(posted: Posted) -> str:
    """The id of the field whose code was refused: two forms have one."""
    return "codes-code" if posted.field("do") == "new_codes" else "remove-code"
