"""An application's own sign-out link, which leads to ours.

Nobody is signed out by another site: a link only asks, and a form counts when the browser says that it came
from this very host (ASVS 5.0 V3.5.1). Without that word it asks, too.
"""

from __future__ import annotations

from urllib.parse import quote

from gatekeeper.core.context import Facts, Refusal, RequestContext
from gatekeeper.core.protocols import ASGIApp, Receive, Scope
from gatekeeper.gate.answer import Answer
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.refusals import redirect, refuse_background, wants_json

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
UNCONFIRMED = Refusal(403, "sign_out_unconfirmed")


def sign_out_location(prefix: str, front: str) -> str:
    """Our page that asks; `front` is where it leads afterwards."""
    return f"{prefix}/logout?next={quote(front, safe='/')}"


def evidently_own(headers: list[tuple[bytes, bytes]], origin: str) -> bool:
    """Whether the browser says that the request was made by a page of `origin`."""
    origins = [value for name, value in headers if name == b"origin"]
    sites = [value for name, value in headers if name == b"sec-fetch-site"]
    if any(value != origin.encode("ascii") for value in origins) or any(s != b"same-origin" for s in sites):
        return False
    return bool(origins or sites)


class SignOut:
    """Answers requests for one of an application's `logout_paths`."""

    def __init__(self, config: GateConfig, pages: ASGIApp) -> None:
        self._config = config
        self._pages = pages

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        context: RequestContext,
        facts: Facts,
        front: str,
    ) -> None:
        """`front` is the application's front page, where it goes on afterwards."""
        background = wants_json(facts.kind)
        own = evidently_own(scope["headers"], self._config.own_origin(facts.host))
        if scope["type"] == "http" and facts.method not in _SAFE_METHODS and own:
            context.sign_out = front
            await self._pages(scope, receive, answer)
        elif background:
            context.refusal = UNCONFIRMED
            await refuse_background(
                scope, answer, UNCONFIRMED.status, error=UNCONFIRMED.reason, request_id=context.request_id
            )
        else:
            await redirect(answer, sign_out_location(self._config.prefix, front))


async def lead(answer: Answer, config: GateConfig, facts: Facts, path: str, header: bytes | None) -> None:
    """Tell a proxy that asked to lead the browser to `path`, a page of ours.

    `header` is where a proxy that only looks at the status finds it; None: it hands on a redirect. The
    address is whole, because some proxies complete it with the one under which they reach us.
    """
    location = (header or b"location", f"{config.own_origin(facts.host)}{path}".encode("ascii"))
    headers = [(b"cache-control", b"no-store"), (b"content-length", b"0"), location]
    status = 302 if header is None else 401
    await answer({"type": "http.response.start", "status": status, "headers": headers})
    await answer({"type": "http.response.body", "body": b""})
