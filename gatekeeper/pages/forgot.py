"""Forgot password: asking for a mail with a link to a new one. The same notice for any login."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.i18n import N_, Locale
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Recovery
from gatekeeper.pages.trouble import TROUBLE, trouble_of

_MISSING = N_("Enter your login.")


class ForgotPage:
    """GET shows the form, or the notice after it; POST has the mail sent."""

    def __init__(
        self, *, recovery: Recovery, guard: FormGuard, pages: Pages, locale: Locale, prefix: str
    ) -> None:
        self._recovery = recovery
        self._guard = guard
        self._pages = pages
        self._locale = locale
        self._sent = f"{prefix}/forgot?sent=1"

    async def show(self, request: Request) -> Response:
        """The form; with `?sent=1` the notice, which says the same whatever was asked for."""
        return self._page(request, sent=request.query_params.get("sent") == "1")

    async def submit(self, request: Request) -> Response:
        """Ask for the mail and show the notice."""
        posted = await self._guard.read(request)
        login = posted.field("login")
        if posted.problem:
            return self._page(request, login=login, problem=posted.problem, status=403)
        if not self._recovery.enabled:
            return self._page(request)
        if not login.strip():
            return self._page(request, error=self._locale.text(_MISSING), status=422)
        try:
            await self._recovery.request(
                login, client=client_of(request), request_id=context_of(request).request_id
            )
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return self._page(request, login=login, problem=problem, status=status, headers=headers)
        return see_other(self._sent)

    def _page(
        self,
        request: Request,
        *,
        login: str = "",
        sent: bool = False,
        problem: str = "",
        error: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        return self._pages.answer(
            request,
            "forgot.html",
            status=status,
            headers=headers,
            login=login,
            sent=sent,
            enabled=self._recovery.enabled,
            errors={"login": [error]} if error else {},
            problem=problem,
        )
