"""One page answered: template, form token and its cookie, status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gatekeeper.core.context import RequestContext
from gatekeeper.pages.csrf import Csrf
from gatekeeper.pages.i18n import N_
from gatekeeper.pages.services import PageServices
from gatekeeper.pages.static import StaticFiles
from gatekeeper.pages.templates import TemplateFolders, Templates


def context_of(request: Request) -> RequestContext:
    """What the gate read of this request."""
    context: RequestContext = request.scope["gatekeeper"]
    return context


def see_other(location: str) -> Response:
    """303: go there with GET. `location` is a path of ours, printable ASCII (core.returns)."""
    return Response(status_code=303, headers={"location": location})


class Pages:
    """Renders pages; the one place that knows what every template is given."""

    def __init__(
        self, services: PageServices, static: StaticFiles, csrf: Csrf, folders: TemplateFolders
    ) -> None:
        self._csrf = csrf
        branding = services.branding
        self._templates = Templates(
            folders,
            services.locale,
            {
                "prefix": services.prefix,
                "brand": branding,
                "sign_in_label": branding.sign_in_label or services.locale.text(N_("Sign in")),
                "forgot_label": branding.forgot_label or services.locale.text(N_("Forgot password?")),
                "login_label": branding.login_label or services.locale.text(N_("User login")),
                "local": services.local_passwords,
                "recovery_enabled": services.recovery.enabled and services.local_passwords,
                "has_own_logo": bool(branding.logo),
                "logo_url": static.url(static.logo_name),
                "css_url": static.url("gk.css"),
                "js_url": static.url("gk.js"),
                "public_origin": services.public_origins[0],
            },
        )

    def answer(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """The page, with the hidden field's value as `csrf`, and the cookie that goes with it."""
        token = self._csrf.token(request)
        html = self._templates.render(
            template, csrf=token.field, request_id=context_of(request).request_id, **values
        )
        response = HTMLResponse(html, status_code=status, headers=dict(headers or {}))
        self._csrf.keep(request, response, token)
        return response
