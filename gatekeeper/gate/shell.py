"""The gate as an ASGI application around another one: facts → session → decide → carry out."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gatekeeper.core.clock import Clock
from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.cookies import find_cookie
from gatekeeper.core.errors import RequestRejected, Undecidable, UpstreamFailure
from gatekeeper.core.origins import origin_allowed
from gatekeeper.core.policy import Decision, Outcome, decide
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send, SessionGuard
from gatekeeper.core.session import EndReason, Session
from gatekeeper.gate.answer import Answer
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.facts import read_facts
from gatekeeper.gate.live import LiveSockets
from gatekeeper.gate.middleware import run_websocket
from gatekeeper.gate.refusals import redirect, refuse_background, sign_in_location, wants_json

CHANGE_PASSWORD = "/.well-known/change-password"  # noqa: S105 - a path (W3C change-password-url)


class Line(NamedTuple):
    """One finished request, for the access log. Never the query: it may hold tokens."""

    request_id: str
    client: str
    method: str
    path: str
    status: int
    outcome: str
    rule: int | None
    login: str
    bytes: int
    seconds: float


class SessionCut(Exception):
    """The session was revoked in the middle of an answer: the connection is aborted, not ended cleanly."""


class Gate:
    """`app` is the protected application, `pages` Gatekeeper's own; both plain ASGI.

    `own` are further endpoints under the prefix (health), answered whatever the Host: they tell nothing.
    `app_watches`: the application ends its WebSockets itself when `scope["gatekeeper.watch"]` calls back and
    reports client frames to `scope["gatekeeper.activity"]` (our upstream does; others are wrapped for it).
    `on_line` gets one `Line` a request; `on_error` every exception that nobody expected, with the request id.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: ASGIApp,
        guard: SessionGuard,
        config: GateConfig,
        clock: Clock,
        on_line: Callable[[Line], None],
        on_error: Callable[[str, BaseException], None],
        own: Mapping[str, ASGIApp] | None = None,
        app_watches: bool = False,
    ) -> None:
        self._app = app
        self._app_watches = app_watches
        self._pages = pages
        self._guard = guard
        self._config = config
        self._clock = clock
        self._on_line = on_line
        self._on_error = on_error
        self._own = {(config.prefix + path).encode("ascii"): own_app for path, own_app in (own or {}).items()}
        self._own_cookies = config.cookies.all_spellings()
        self._session_cookie = config.cookies.session.encode("ascii")
        self._prefix_slash = config.prefix + "/"
        self.sockets = LiveSockets(guard, config.policy, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if (own := self._own.get(scope.get("raw_path") or b"")) is not None and scope["type"] == "http":
            await own(scope, receive, send)
            return
        began = time.perf_counter()
        context = RequestContext(request_id=secrets.token_hex(8), facts=None)
        scope["gatekeeper"] = context
        answer = Answer(send)
        outcome, rule = "error", None
        try:
            decision = await self._answer(scope, receive, answer, context)
            if decision is not None:
                outcome, rule = decision.outcome.name.lower(), decision.rule
            elif context.refusal is not None:
                outcome = context.refusal.reason
            else:
                outcome = "own_page"
        except Exception as error:
            await self._failed(scope, receive, answer, context, error)
        finally:
            self._on_line(self._line(scope, context, answer, outcome, rule, time.perf_counter() - began))

    async def _answer(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext
    ) -> Decision | None:
        """The decision that was carried out; None for own pages and for what was refused before any rule."""
        config = self._config
        try:
            facts = read_facts(scope, config)
        except RequestRejected as error:
            await self._refuse(scope, receive, answer, context, Refusal(error.status, error.reason))
            return None
        context.facts = facts
        cookie = find_cookie(scope["headers"], self._session_cookie)
        try:
            if cookie is not None:
                await self._read_session(context, cookie)
            path = facts.target.path
            if path.startswith(self._prefix_slash) or path in (config.prefix, CHANGE_PASSWORD):
                return await self._own_page(scope, receive, answer, context)
            decision = decide(config.policy, facts, context.session)
        except Undecidable as error:
            refusal = Refusal(503, error.reason, retry_after=error.retry_after)
            await self._refuse(scope, receive, answer, context, refusal)
            return None
        if decision.outcome is Outcome.ALLOW:
            await self._forward(scope, receive, answer, context, facts, cookie)
        elif decision.outcome is Outcome.SIGN_IN:
            await self._sign_in(scope, answer, context, facts)
        else:
            refusal = Refusal(403, "forbidden" if decision.outcome is Outcome.FORBIDDEN else "denied")
            await self._refuse(scope, receive, answer, context, refusal)
        return decision

    async def _read_session(self, context: RequestContext, cookie: bytes) -> None:
        now = self._clock()
        found = self._guard.peek(cookie, now)
        if found is None:
            found = await self._guard.load(cookie, now)
        if isinstance(found, EndReason):
            context.ended = found
        else:
            context.session = found

    async def _own_page(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext
    ) -> Decision | None:
        if scope["type"] == "websocket":
            refusal = Refusal(404, "not_found")
            await self._refuse(scope, receive, answer, context, refusal)
        else:
            await self._pages(scope, receive, answer)
        return None

    async def _sign_in(self, scope: Scope, answer: Answer, context: RequestContext, facts: Facts) -> None:
        config = self._config
        referer = next((value for name, value in scope["headers"] if name == b"referer"), None)
        location = sign_in_location(config.prefix, facts, context.ended, referer, config.public_origins)
        if wants_json(facts.kind):
            await refuse_background(
                scope,
                answer,
                401,
                error="unauthenticated" if context.ended is None else f"session_{context.ended.value}",
                request_id=context.request_id,
                sign_in=config.prefix + "/login",  # never with the background request's own address
            )
        else:
            await redirect(answer, location)

    async def _forward(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        context: RequestContext,
        facts: Facts,
        cookie: bytes | None,
    ) -> None:
        config, session = self._config, context.session
        if session is not None and session.step != "":
            session = None  # half signed in is nobody, on public paths too
        if facts.kind is Kind.WEBSOCKET and not origin_allowed(scope["headers"], config.public_origins):
            await self._refuse(scope, receive, answer, context, Refusal(403, "foreign_origin"))
            return
        child = dict(scope)
        child["headers"] = config.request_headers.forward(
            scope["headers"],
            session.headers if session is not None else (),
            client=facts.client,
            host=facts.host,
            request_id=context.request_id,
        )
        answer.protect(self._own_cookies, private=session is not None, set_cookies=context.set_cookies)
        if facts.kind is Kind.WEBSOCKET:
            child["gatekeeper.answer_headers"] = answer.headers
        if session is None:
            await self._app(child, receive, answer)
            return
        if config.counts_as_activity(facts.target.path):
            self._guard.touch(session, self._clock())
        if facts.kind is Kind.WEBSOCKET:
            live, guard, clock = session, self._guard, self._clock
            known_cookie = cookie or b""
            child["gatekeeper.watch"] = lambda end: self.sockets.watch(known_cookie, live, facts, end)
            child["gatekeeper.activity"] = lambda: guard.touch(live, clock())
            if self._app_watches:
                await self._app(child, receive, answer)
            else:
                await run_websocket(self._app, child, receive, answer)
        else:
            await self._guarded(child, receive, answer, session)

    async def _guarded(self, scope: Scope, receive: Receive, answer: Answer, session: Session) -> None:
        """Run the application; a revocation of `session` cuts it, however long the answer is."""
        task = asyncio.current_task()
        cut = False

        def revoked() -> None:
            nonlocal cut
            cut = True
            if task is not None:
                task.cancel()

        stop = self._guard.watch(session, revoked)
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if not cut or task is None:
                raise
            task.uncancel()
            raise SessionCut from None
        finally:
            stop()

    async def _failed(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext, error: Exception
    ) -> None:
        """An exception reached the shell: a page with a reference id while there is time, else an abort."""
        if isinstance(error, SessionCut) and not answer.started:
            facts = context.facts
            if facts is not None:
                context.ended = EndReason.REVOKED
                await self._sign_in(scope, answer, context, facts)
            return
        expected = isinstance(error, UpstreamFailure | SessionCut)
        if not expected:
            self._on_error(context.request_id, error)
        if answer.started:
            raise error
        if isinstance(error, UpstreamFailure):
            refusal = Refusal(error.status, error.reason)
        elif isinstance(error, Undecidable):
            refusal = Refusal(503, error.reason, retry_after=error.retry_after)
        else:
            refusal = Refusal(500, "internal_error")
        await self._refuse(scope, receive, answer, context, refusal)

    async def _refuse(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext, refusal: Refusal
    ) -> None:
        context.refusal = refusal
        facts = context.facts
        background = facts is not None and wants_json(facts.kind)
        if scope["type"] == "websocket" or background:
            await refuse_background(
                scope,
                answer,
                refusal.status,
                error=refusal.reason,
                request_id=context.request_id,
                retry_after=refusal.retry_after,
            )
        else:
            await self._pages(scope, receive, answer)

    def _line(
        self,
        scope: Scope,
        context: RequestContext,
        answer: Answer,
        outcome: str,
        rule: int | None,
        seconds: float,
    ) -> Line:
        facts, session = context.facts, context.session
        if facts is not None:
            client, path = facts.client, facts.target.path
        else:
            client = scope["client"][0] if scope.get("client") else ""
            path = (scope.get("raw_path") or b"").decode("latin-1")
        method = scope.get("method", "WEBSOCKET")
        login = session.user.login if session is not None else ""
        return Line(
            context.request_id,
            client,
            method,
            path,
            answer.status,
            outcome,
            rule,
            login,
            answer.bytes,
            seconds,
        )
