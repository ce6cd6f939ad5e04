"""A new password by a mailed link. It signs nobody in, so that the second factor is asked for as always."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.session import UserRecord
from gatekeeper.pages.form_errors import Errors, PasswordWords
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.mailed_link import link_over, linked_page, token_in
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Recovery
from gatekeeper.pages.trouble import TROUBLE, trouble_of


class ResetPage:
    """GET shows the form, POST sets the password; `?done=1` says that it is done."""

    def __init__(
        self, *, recovery: Recovery, guard: FormGuard, pages: Pages, words: PasswordWords, prefix: str
    ) -> None:
        self._recovery = recovery
        self._guard = guard
        self._pages = pages
        self._words = words
        self._own = f"{prefix}/reset"

    async def show(self, request: Request) -> Response:
        """The form for the link's account. Consumes nothing."""
        if request.query_params.get("done") == "1":
            return self._pages.answer(request, "password-changed.html", back="", sign_in=True)
        token = token_in(request.query_params.get("token", ""))
        user = await self._recovery.peek(token)
        if user is None:
            return link_over(self._pages, request, "reset")
        return self._page(request, user, token, {})

    async def submit(self, request: Request) -> Response:
        """Set the password; the link works no more, but it still does after a mistake."""
        posted = await self._guard.read(request)
        token = token_in(posted.field("token"))
        user = await self._recovery.peek(token)
        if user is None:
            return link_over(self._pages, request, "reset")
        if posted.problem:
            return self._page(request, user, token, {}, problem=posted.problem, status=403)
        errors = self._words.first_look(posted.field("new_password"), posted.field("confirm_password"))
        if errors:
            return self._page(request, user, token, errors, status=422)
        try:
            await self._recovery.reset(
                token,
                posted.field("new_password"),
                client=client_of(request),
                request_id=context_of(request).request_id,
            )
        except AccountError as error:
            if error.reason != "bad_password":
                return link_over(self._pages, request, "reset")
            errors = {"new_password": self._words.problems(error)}
            return self._page(request, user, token, errors, status=422)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return self._page(request, user, token, {}, problem=problem, status=status, headers=headers)
        return see_other(f"{self._own}?done=1")

    def _page(
        self,
        request: Request,
        user: UserRecord,
        token: str,
        errors: Errors,
        *,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        return linked_page(
            self._pages,
            request,
            "reset.html",
            status=status,
            headers=headers,
            user=user,
            token=token,
            rules=self._words.rules(self._recovery.least(user)),
            errors=errors,
            problem=problem,
        )
