"""Unlocking an account by a mailed link: the page shows a button, the button unlocks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.mailed_link import link_over, linked_page, token_in
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Unlocks
from gatekeeper.pages.trouble import TROUBLE, trouble_of


class UnlockPage:
    """GET asks, POST unlocks; `?done=1` says that it is done."""

    def __init__(self, *, unlocks: Unlocks, guard: FormGuard, pages: Pages, prefix: str) -> None:
        self._unlocks = unlocks
        self._guard = guard
        self._pages = pages
        self._own = f"{prefix}/unlock"

    async def show(self, request: Request) -> Response:
        """Consumes nothing."""
        if request.query_params.get("done") == "1":
            return self._pages.answer(request, "unlocked.html")
        return await self._asking(request, token_in(request.query_params.get("token", "")))

    async def submit(self, request: Request) -> Response:
        """Unlock; the link works no more."""
        posted = await self._guard.read(request)
        token = token_in(posted.field("token"))
        if posted.problem:
            return await self._asking(request, token, problem=posted.problem, status=403)
        try:
            await self._unlocks.unlock(
                token, client=client_of(request), request_id=context_of(request).request_id
            )
        except AccountError:
            return link_over(self._pages, request, "unlock")
        except TROUBLE as error:
            problem, status, headers = trouble_of(request, error)
            return await self._asking(request, token, problem=problem, status=status, headers=headers)
        return see_other(f"{self._own}?done=1")

    async def _asking(
        self,
        request: Request,
        token: str,
        *,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        user = await self._unlocks.peek(token)
        if user is None:
            return link_over(self._pages, request, "unlock")
        return linked_page(
            self._pages,
            request,
            "unlock.html",
            status=status,
            headers=headers,
            user=user,
            token=token,
            problem=problem,
        )
