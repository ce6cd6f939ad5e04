"""Forms that were sent into an ended session: where each would go, and buttons to send or discard it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.cookies import find_cookie
from gatekeeper.core.steps import Step
from gatekeeper.pages.flow import SignInFlow
from gatekeeper.pages.form_guard import FormGuard
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.security import content_security_policy
from gatekeeper.pages.services import KeptForms
from gatekeeper.pages.when import Moment, moment

_LONGEST_PLACE = 200
_POLICY = content_security_policy(form_action="*")
"""The application may answer a form by sending the browser elsewhere, and then that counts, too."""


class _Line(NamedTuple):
    key: str
    action: str
    """Where it is sent: path and query."""
    place: str
    """The same for people: the path."""
    names: list[str]
    at: Moment


class KeptPage:
    """GET lists, POST discards. What sends is a form to the application's own address (`gate.kept`)."""

    def __init__(
        self,
        *,
        kept: KeptForms,
        cookie: str,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        prefix: str,
    ) -> None:
        self._kept = kept
        self._cookie = cookie.encode("ascii")
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._own = f"{prefix}/kept"

    async def show(self, request: Request) -> Response:
        """Everything that is kept for this person in this browser, on this host."""
        return await self._page(request)

    async def submit(self, request: Request) -> Response:
        """Discard one."""
        posted = await self._guard.read(request)
        session = await self._flow.enter(request, self._own, Step.DONE)
        if isinstance(session, Response):
            return session
        if posted.problem:
            return await self._page(request, problem=posted.problem, status=403)
        await self._kept.discard(posted.field("form"), session.user.id)
        return see_other(f"{self._own}?done=1")

    async def _page(self, request: Request, *, problem: str = "", status: int = 200) -> Response:
        session = await self._flow.enter(request, self._own, Step.DONE)
        if isinstance(session, Response):
            return session
        browser = find_cookie(request.scope["headers"], self._cookie)
        forms = await self._kept.list(session.user.id, None if browser is None else browser.decode("latin-1"))
        facts = context_of(request).facts
        lines = [
            _Line(
                form.key,
                _address(form.target.decode("ascii", "replace")),
                unquote(form.target.partition(b"?")[0].decode("ascii", "replace"))[:_LONGEST_PLACE],
                form.names,
                moment(form.kept_at),
            )
            for form in forms
            if facts is not None and form.host == facts.host
        ]
        return self._pages.answer(
            request,
            "kept.html",
            status=status,
            headers={"content-security-policy": _POLICY},
            forms=lines,
            discarded=request.query_params.get("done") == "1",
            problem=problem,
        )


def _address(target: str) -> str:
    """A path that begins with two slashes would be read as another host's name. URL Standard section 4.3."""
    return f"/.{target}" if target.startswith("//") else target
