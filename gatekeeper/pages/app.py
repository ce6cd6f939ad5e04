"""The pages as one ASGI application, given what the gate read in `scope["gatekeeper"]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Router

from gatekeeper.core.context import Refusal, RequestContext
from gatekeeper.core.errors import RateLimited, RequestRejected, Undecidable
from gatekeeper.core.protocols import ASGIApp, Message, Receive, Scope, Send
from gatekeeper.pages.errors import ErrorPages
from gatekeeper.pages.routes import make_shared, make_sign_out, routes
from gatekeeper.pages.security import guarded
from gatekeeper.pages.services import PageServices
from gatekeeper.pages.sign_out import SignOutPages


class PagesApp:
    """Answers a refusal with its error page, everything else by its route; no exception gets out."""

    def __init__(
        self,
        router: Router,
        errors: ErrorPages,
        sign_out: SignOutPages,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._router = router
        self._sign_out = sign_out
        self._errors = errors
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only "http" scopes with a `core.context.RequestContext` come here."""
        context: RequestContext = scope["gatekeeper"]
        send = guarded(send, head_only=scope["method"] == "HEAD")
        began = False

        async def noting_send(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            if context.refusal is not None:
                await self._refuse(context.refusal, scope, receive, noting_send)
            elif context.sign_out is not None:
                response = await self._sign_out.by_application(Request(scope, receive), context.sign_out)
                await response(scope, receive, noting_send)
            else:
                # With "app" in the scope, Starlette raises for a wrong method, and our page says it.
                await self._router({**scope, "app": self}, receive, noting_send)
                if context.trouble is not None:
                    self._report(context.trouble, context.request_id)
        except ClientDisconnect:
            return
        except Exception as error:
            refusal = _refusal_for(error)
            if refusal is None or isinstance(error, Undecidable):
                self._report(error, context.request_id)
            if refusal is None:
                refusal = Refusal(500, "internal_error")
            if began:
                raise
            await self._refuse(
                refusal,
                scope,
                receive,
                send,
                headers=error.headers if isinstance(error, HTTPException) else None,
            )

    async def _refuse(
        self,
        refusal: Refusal,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        response = self._errors.answer(Request(scope, receive), refusal)
        response.headers.update(headers or {})
        await response(scope, receive, send)


def _refusal_for(error: Exception) -> Refusal | None:
    """What an expected exception means to the person; None for one that nobody expected."""
    if isinstance(error, RequestRejected):
        return Refusal(error.status, error.reason)
    if isinstance(error, RateLimited):
        return Refusal(429, error.reason, retry_after=error.retry_after)
    if isinstance(error, Undecidable):
        return Refusal(503, error.reason, retry_after=error.retry_after)
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, "not_found" if error.status_code == 404 else "refused")
    return None


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise HTTPException(404)


def make_pages(services: PageServices) -> ASGIApp:
    """Build the pages. Reads templates and static files once: FileNotFoundError, jinja2.TemplateError."""
    router = Router(
        routes(services, shared := make_shared(services)),
        redirect_slashes=False,  # Starlette would build the address from the Host header
        default=_not_found,
    )
    errors = ErrorPages(shared.pages, services.locale, services.prefix)
    return PagesApp(router, errors, make_sign_out(services, shared), services.report)
