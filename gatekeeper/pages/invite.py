"""Where an invited person begins: choosing the first password, or signing in with the mailed one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.session import UserRecord
from gatekeeper.pages.form_errors import Errors, PasswordWords
from gatekeeper.pages.form_guard import FormGuard, Posted, client_of
from gatekeeper.pages.mailed_link import link_over, linked_page, token_in
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Invitations
from gatekeeper.pages.trouble import TROUBLE, trouble_of


class InvitePage:
    """GET says what the invitation is for, POST accepts it and leads to the sign-in page."""

    def __init__(
        self, *, invitations: Invitations, guard: FormGuard, pages: Pages, words: PasswordWords, prefix: str
    ) -> None:
        self._invitations = invitations
        self._guard = guard
        self._pages = pages
        self._words = words
        self._sign_in = f"{prefix}/login"

    async def show(self, request: Request) -> Response:
        """Consumes nothing."""
        token = token_in(request.query_params.get("token", ""))
        user = await self._invitations.peek(token)
        if user is None:
            return link_over(self._pages, request, "invite")
        return await self._page(request, user, token, {})

    async def submit(self, request: Request) -> Response:
        """Accept: with a first password where the account has none. Signs nobody in."""
        posted = await self._guard.read(request)
        token = token_in(posted.field("token"))
        user = await self._invitations.peek(token)
        if user is None:
            return link_over(self._pages, request, "invite")
        if posted.problem:
            return await self._page(request, user, token, {}, problem=posted.problem, status=403)
        try:
            if await self._invitations.needs_password(token):
                errors = self._words.first_look(
                    posted.field("new_password"), posted.field("confirm_password")
                )
                if errors:
                    return await self._page(request, user, token, errors, status=422)
                await self._choose(request, token, posted)
                return see_other(f"{self._sign_in}?ended=password_set")
            accepted = await self._invitations.accept(
                token, client=client_of(request), request_id=context_of(request).request_id
            )
        except AccountError as error:
            if error.reason != "bad_password":
                return link_over(self._pages, request, "invite")
            errors = {"new_password": self._words.problems(error)}
            return await self._page(request, user, token, errors, status=422)
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return await self._page(request, user, token, {}, problem=problem, status=status, headers=headers)
        return link_over(self._pages, request, "invite") if accepted is None else see_other(self._sign_in)

    async def _choose(self, request: Request, token: str, posted: Posted) -> None:
        await self._invitations.set_password(
            token,
            posted.field("new_password"),
            client=client_of(request),
            request_id=context_of(request).request_id,
        )

    async def _page(
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
            "invite.html",
            status=status,
            headers=headers,
            user=user,
            token=token,
            needs_password=await self._invitations.needs_password(token),
            rules=self._words.rules(self._invitations.least(user)),
            errors=errors,
            problem=problem,
        )
