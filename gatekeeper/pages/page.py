"""One page answered: template, form token and its cookie, status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gatekeeper.core.context import RequestContext
from gatekeeper.pages.csrf import Csrf
from gatekeeper.pages.looks import Looks


def context_of(request: Request) -> RequestContext:
    """What the gate read of this request."""
    context: RequestContext = request.scope["gatekeeper"]
    return context


def see_other(location: str) -> Response:
    """303: go there with GET. `location` is a path of ours, printable ASCII (core.returns)."""
    return Response(status_code=303, headers={"location": location})


class Pages:
    """Renders pages; the one place that knows what every template is given."""

    def __init__(self, looks: Looks, csrf: Csrf) -> None:
        self._looks = looks
        self._csrf = csrf

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
        target = values["view"].next if "view" in values else values.get("next")
        html = self._looks.of(request, target).templates.render(
            template,
            csrf=token.field,
            request_id=context_of(request).request_id,
            public_origin=self._looks.origin(request),
            **values,
        )
        response = HTMLResponse(html, status_code=status, headers=dict(headers or {}))
        self._csrf.keep(request, response, token)
        return response
