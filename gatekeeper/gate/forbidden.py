"""The page for a person whom another proxy turned away on our word."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from gatekeeper.core.clock import Clock
from gatekeeper.core.context import Refusal, RequestContext
from gatekeeper.core.errors import RequestRejected, Undecidable
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send, SessionGuard
from gatekeeper.core.session import EndReason
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.facts import read_facts
from gatekeeper.gate.forward_auth import REQUEST_ID_HEADER
from gatekeeper.gate.refusals import refuse_script, wants_json

_REQUEST_ID = re.compile(rb"[0-9a-f]{16}")


class Forbidden:
    """The 403 page for proxies that only look at the status (nginx: `error_page 403`), or JSON for scripts.

    It tells whoever asks who they are, which they know, and nothing of what was refused.
    """

    def __init__(
        self,
        *,
        pages: ASGIApp,
        guard: SessionGuard,
        config: GateConfig,
        clock: Clock,
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._config = config
        self._clock = clock
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = RequestContext(self._request_id(scope) or secrets.token_hex(8), None)
        context.refusal = Refusal(403, "forbidden")
        scope["gatekeeper"] = context
        try:
            context.facts, context.cookie, _ = read_facts(scope, self._config)
            if context.cookie is not None:
                found = await self._guard.load(context.cookie, self._clock())
                context.session = None if isinstance(found, EndReason) else found
        except RequestRejected as error:
            context.refusal = Refusal(error.status, error.reason)
        except Undecidable as error:
            self._on_error(context.request_id, error)
            context.refusal = Refusal(503, error.reason, retry_after=error.retry_after)
        refusal, facts = context.refusal, context.facts
        if facts is not None and wants_json(facts.kind):
            await refuse_script(scope, send, context, refusal)
        else:
            await self._pages(scope, receive, send)

    def _request_id(self, scope: Scope) -> str:
        """Under which the refusal is in the log, when a trusted proxy says it."""
        peer = scope["client"][0] if scope.get("client") else ""
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID_HEADER), b"")
        if self._config.proxies.trusts(peer) and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return ""
