"""A few slides after the first sign-in. Each is a page of its own; skipping and the end are forms."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.session import Session
from gatekeeper.core.steps import Step
from gatekeeper.pages.flow import SignInFlow
from gatekeeper.pages.form_guard import FormGuard
from gatekeeper.pages.looks import Looks
from gatekeeper.pages.page import Pages
from gatekeeper.pages.security import content_security_policy
from gatekeeper.pages.services import Sessions, Slide, Welcomes
from gatekeeper.sessions.errors import SessionOver


class WelcomePage:
    """GET shows one slide, POST notes that the person was welcomed, and goes on."""

    def __init__(
        self,
        *,
        slides: Sequence[Slide],
        welcomes: Welcomes,
        sessions: Sessions,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        looks: Looks,
    ) -> None:
        self._slides = [(slide, looks.common.static.slide_url(slide)) for slide in slides]
        self._looks = looks
        self._welcomes = welcomes
        self._sessions = sessions
        self._flow = flow
        self._guard = guard
        self._pages = pages

    async def show(self, request: Request) -> Response:
        """The slide that the address names, or the first."""
        target = self._flow.asked(request)
        session = await self._flow.enter(request, target, Step.WELCOME)
        if isinstance(session, Response):
            return session
        return self._page(request, session, target, _number(request.query_params.get("slide", "1")))

    async def submit(self, request: Request) -> Response:
        """Once and never again; "Get started" leads to the help pages where there are any."""
        posted = await self._guard.read(request)
        target = self._flow.target(posted.field("next") or "/")
        session = await self._flow.enter(request, target, Step.WELCOME)
        if isinstance(session, Response):
            return session
        number = _number(posted.field("slide"))
        if posted.problem:
            return self._page(request, session, target, number, problem=posted.problem, status=403)
        await self._welcomes.seen(session.user.id)
        try:
            session = await self._sessions.refresh(session)
        except SessionOver:
            return self._flow.sign_in_page(target)
        response = await self._flow.go_on_unchanged(request, session, target)
        help_url = self._help_url(request, target)
        if posted.field("started") and help_url and session.complete:
            response.headers["location"] = help_url
        return response

    def _page(
        self,
        request: Request,
        session: Session,
        target: str,
        number: int,
        *,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        # Browsers follow a form's redirect to another site only where the policy names it.
        parts = urlsplit(self._help_url(request, target))
        help_site = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        number = min(max(number, 1), len(self._slides))
        slide, image_url = self._slides[number - 1]
        page = self._flow.page_of(Step.WELCOME, target)
        page += ("&" if "?" in page else "?") + "slide="
        return self._pages.answer(
            request,
            "welcome.html",
            status=status,
            headers={"content-security-policy": content_security_policy(form_action=help_site)},
            user=session.user,
            next=target,
            slide=slide,
            image_url=image_url,
            number=number,
            count=len(self._slides),
            back=f"{page}{number - 1}" if number > 1 else "",
            forward=f"{page}{number + 1}" if number < len(self._slides) else "",
            problem=problem,
        )

    def _help_url(self, request: Request, target: str) -> str:
        """Where "Get started" leads, "" for the application."""
        found = self._looks.of(request, target).branding.help_url
        return found if urlsplit(found).scheme in ("http", "https") else ""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 1
