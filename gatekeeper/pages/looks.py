"""How a page looks: in the branding of the application that it leads to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.context import RequestContext
from gatekeeper.core.returns import safe_return
from gatekeeper.pages.i18n import N_
from gatekeeper.pages.services import Branding, PageServices
from gatekeeper.pages.static import StaticFiles
from gatekeeper.pages.templates import TemplateFolders, Templates


class Look(NamedTuple):
    """One branding, with the files and templates made of it."""

    branding: Branding
    static: StaticFiles
    templates: Templates


class Looks:
    """The look of every application, and which of them a request is to see.

    An application's own address has its own; a page of ours that of the application to which it leads
    (`next`), or of whoever has `/` on its host. What nobody has looks as the whole configuration says.
    """

    def __init__(self, services: PageServices, folders: TemplateFolders) -> None:
        """Raises FileNotFoundError."""
        static = StaticFiles(folders, services.branding, services.prefix, services.slides)
        self.common = Look(
            services.branding, static, _templates(services, folders, services.branding, static)
        )
        self._own = {
            name: Look(branding, dressed, _templates(services, folders, branding, dressed))
            for name, branding in services.own_brandings.items()
            for dressed in [static.dressed(branding)]
        }
        self._by_version = {look.static.version: look.static for look in (self.common, *self._own.values())}
        self._application_at = services.application_at
        self._prefix = services.prefix
        self._origins: Sequence[str] = services.public_origins

    def of(self, request: Request, target: str | None = None) -> Look:
        """`target` is where the page leads in the end; None: as its address says (`next`)."""
        context: RequestContext = request.scope["gatekeeper"]
        facts = context.facts
        if not self._own or facts is None:
            return self.common
        if not facts.target.path.startswith(self._prefix + "/"):
            path = facts.target.raw
        else:
            wanted = request.query_params.get("next", "/") if target is None else target
            path = re.split("[?#]", safe_return(wanted, self._prefix), maxsplit=1)[0].encode("ascii")
        name = self._application_at(facts.host, path)
        return self.common if name is None else self._own.get(name, self.common)

    def of_referer(self, request: Request) -> Look:
        """For what a script in an application's page asks: that of the page."""
        parts = urlsplit(request.headers.get("referer", ""))
        return self.of(
            request, parts.path if self.origin(request) == f"{parts.scheme}://{parts.netloc}" else "/"
        )

    def origin(self, request: Request) -> str:
        """The address of the request's own host, or that of `public_url` when it is none of ours."""
        facts = request.scope["gatekeeper"].facts
        mine = (origin for origin in self._origins if facts and origin.partition("://")[2] == facts.host)
        return next(mine, self._origins[0])

    async def serve(self, request: Request) -> Response:
        """A file of whichever look its address names; see `StaticFiles.serve`."""
        return await self._asked(request, request.path_params["version"]).serve(request)

    async def serve_session_style(self, request: Request) -> Response:
        """The same for the session script's style."""
        return await self._asked(request, request.query_params.get("v", "")).serve_session_style(request)

    def _asked(self, request: Request, version: str) -> StaticFiles:
        return self._by_version.get(version) or self.of(request).static


def _templates(
    services: PageServices, folders: TemplateFolders, branding: Branding, static: StaticFiles
) -> Templates:
    text = services.locale.text
    return Templates(
        folders,
        services.locale,
        {
            "prefix": services.prefix,
            "brand": branding,
            "sign_in_label": branding.sign_in_label or text(N_("Sign in")),
            "forgot_label": branding.forgot_label or text(N_("Forgot password?")),
            "login_label": branding.login_label or text(N_("User login")),
            "local": services.local_passwords,
            "recovery_enabled": services.recovery.enabled and services.local_passwords,
            "has_own_logo": bool(branding.logo),
            "logo_url": static.url(static.logo_name),
            "css_url": static.url("gk.css"),
            "js_url": static.url("gk.js"),
        },
    )
