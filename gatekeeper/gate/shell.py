"""The gate as an ASGI application around another one: facts → session → decide → carry out."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count

from gatekeeper.core.applications import Application
from gatekeeper.core.clock import Clock
from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.errors import RequestRejected, Undecidable, UpstreamFailure
from gatekeeper.core.origins import origin_allowed
from gatekeeper.core.policy import Decision, Outcome, decide
from gatekeeper.core.protocols import ASGIApp, Assertions, Immediate, Receive, Scope, Send, SessionGuard
from gatekeeper.core.session import EndReason, HeaderList, Session
from gatekeeper.gate.answer import Answer
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.facts import read_facts
from gatekeeper.gate.kept import KeptFormGate, announces
from gatekeeper.gate.line import Line, Measure, make_line
from gatekeeper.gate.live import SWEEP_INTERVAL, LiveSockets
from gatekeeper.gate.middleware import run_websocket
from gatekeeper.gate.refusals import (
    other_spelling,
    redirect,
    refuse_background,
    refuse_script,
    sign_in_location,
    step_up_location,
    wants_json,
)
from gatekeeper.gate.running import Running, SessionCut
from gatekeeper.gate.sign_out import SignOut

CHANGE_PASSWORD = "/.well-known/change-password"  # noqa: S105 - a path (W3C change-password-url)


class Gate:
    """`pages` are Gatekeeper's own, plain ASGI as the applications in `config`.

    `own` are further endpoints under the prefix (health, forward auth), answered whatever the Host: they
    judge the asker themselves, or tell nothing. One whose path ends with a slash has all that is below, too.
    `assertions` sign for the application who is asking; None: it is told by the identity headers alone.
    `on_line` gets one `Line` a request (None: nobody wants them); `on_error` every exception that nobody
    expected, and every `Undecidable`, with the request id. `kept` keeps forms posted into an ended session.
    """

    def __init__(
        self,
        *,
        pages: ASGIApp,
        guard: SessionGuard,
        config: GateConfig,
        clock: Clock,
        on_line: Callable[[Line], None] | None,
        on_error: Callable[[str, BaseException], None],
        own: Mapping[str, ASGIApp] | None = None,
        assertions: Assertions | None = None,
        kept: KeptFormGate | None = None,
        measure: Measure | None = None,
    ) -> None:
        self._assertions = assertions
        self._pages = pages
        self._guard = guard
        self._config = config
        self._clock = clock
        self._on_line, self._measure = on_line, measure
        self._on_error = on_error
        self._kept = kept
        self._own = {(config.prefix + path).encode("ascii"): own_app for path, own_app in (own or {}).items()}
        self._immediate: dict[bytes, Immediate] = {
            path: own_app.immediate for path, own_app in self._own.items() if hasattr(own_app, "immediate")
        }
        self._own_below = tuple((path, own_app) for path, own_app in self._own.items() if path.endswith(b"/"))
        self._prefix_bytes = (config.prefix + "/").encode("ascii")
        self._own_cookies = config.cookies.all_spellings()
        self._prefix_slash = config.prefix + "/"
        self._own_paths = frozenset((config.prefix, CHANGE_PASSWORD))
        # Unique across processes and starts, and nothing to keep secret: no system call for each request.
        self._id_prefix = secrets.token_hex(4)
        self._id_counter = count()
        self._led_out = SignOut(config, pages)
        self.sockets = LiveSockets(guard, clock)
        self.running = Running(guard, config.timeouts, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"scope type {scope['type']!r} is not for the gate")
        raw_path = scope.get("raw_path") or b""
        if raw_path.startswith(self._prefix_bytes) and (own := self._own_at(raw_path, scope["type"])):
            await own(scope, receive, send)
            return
        began = time.perf_counter()
        context = RequestContext(f"{self._id_prefix}{next(self._id_counter):08x}", None)
        scope["gatekeeper"] = context
        sent_headers = scope["headers"]
        answer = Answer(send)
        decision: Decision | None = None
        try:
            facts, cookie, application = read_facts(scope, self._config)
            context.facts, context.cookie = facts, cookie
            now = 0.0  # without a session nothing is judged by time
            if cookie is not None:
                now = self._clock()
                found = self._guard.peek(cookie, now)
                if found is None:
                    found = await self._guard.load(cookie, now)
                if isinstance(found, EndReason):
                    context.ended = found
                else:
                    context.session = found
                    if found.record.tab_seen_at:
                        self._guard.used(found, now, navigation=facts.kind is Kind.NAVIGATION)
            path = facts.target.path
            if path.startswith(self._prefix_slash) or path in self._own_paths:
                await self._own_page(scope, receive, answer, context)
            elif application is None:
                await self._refuse(scope, receive, answer, context, Refusal(404, "not_found"))
            elif application.logout_paths and application.signs_out(facts.target.readings):
                await self._led_out(scope, receive, answer, context, facts, application.front)
            else:
                decision = decide(application.policy, facts, context.session, now)
                if decision.outcome is Outcome.ALLOW:
                    await self._forward(scope, receive, answer, context, facts, application, decision, now)
                else:
                    await self._turn_away(scope, receive, answer, context, facts, decision.outcome)
        except Exception as error:
            scope["headers"] = sent_headers  # the pages read cookies that the application may not see
            await self._failed(scope, receive, answer, context, error)
        finally:
            seconds = time.perf_counter() - began
            if self._measure is not None and scope["type"] == "http":
                self._measure.request(decision, context, seconds)
            if self._on_line is not None:
                self._on_line(make_line(scope, context, answer, decision, seconds))

    def immediate(
        self, peer: str, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """See `core.protocols.Immediate`."""
        answer = self._immediate.get(raw_path)
        return None if answer is None else answer(peer, method, raw_path, query, headers)

    def _own_at(self, raw_path: bytes, scope_type: str) -> ASGIApp | None:
        if scope_type != "http":
            return None
        return self._own.get(raw_path) or next(
            (app for path, app in self._own_below if raw_path.startswith(path)), None
        )

    async def _turn_away(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        context: RequestContext,
        facts: Facts,
        outcome: Outcome,
    ) -> None:
        if outcome is Outcome.SIGN_IN:
            if self._kept is not None and await self._kept.kept(scope, receive, answer, context, facts):
                return
            await self._sign_in(scope, answer, context, facts)
        elif outcome is Outcome.STEP_UP and context.session is not None:
            await self._step_up(scope, answer, context, facts, context.session)
        else:
            reason = "forbidden" if outcome is Outcome.FORBIDDEN else "denied"
            await self._refuse(scope, receive, answer, context, Refusal(403, reason))

    async def _own_page(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext
    ) -> None:
        if scope["type"] == "websocket":
            await self._refuse(scope, receive, answer, context, Refusal(404, "not_found"))
        else:
            await self._pages(scope, receive, answer)

    async def _sign_in(self, scope: Scope, answer: Answer, context: RequestContext, facts: Facts) -> None:
        config = self._config
        referer = next((value for name, value in scope["headers"] if name == b"referer"), None)
        origin = config.own_origin(facts.host)
        location = sign_in_location(config.prefix, facts, context.ended, referer, origin)
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

    async def _step_up(
        self, scope: Scope, answer: Answer, context: RequestContext, facts: Facts, session: Session
    ) -> None:
        config = self._config
        if wants_json(facts.kind):
            await refuse_background(
                scope,
                answer,
                401,
                error="second_factor_required",
                request_id=context.request_id,
                sign_in=step_up_location(config.prefix, session.user),
            )
        else:
            referer = next((value for name, value in scope["headers"] if name == b"referer"), None)
            origin = config.own_origin(facts.host)
            location = step_up_location(config.prefix, session.user, facts, referer, origin)
            await redirect(answer, location)

    async def _forward(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        context: RequestContext,
        facts: Facts,
        application: Application,
        decision: Decision,
        now: float,
    ) -> None:
        session = context.session
        if session is not None and session.step != "":
            session = None  # half signed in is nobody, on public paths too
        websocket = facts.kind is Kind.WEBSOCKET
        if websocket and not origin_allowed(scope["headers"], (self._config.own_origin(facts.host),)):
            await self._refuse(scope, receive, answer, context, Refusal(403, "foreign_origin"))
            return
        if self._kept is not None and facts.method == "POST" and announces(dict(scope["headers"])):
            exchanged = await self._kept.exchange(scope, receive, context, facts, session)
            if exchanged is None:
                await redirect(answer, self._kept.page)
                return
            receive = exchanged
        identity: HeaderList = ()
        if session is not None:
            active = application.is_activity(facts, scope["headers"])
            identity = session.headers
            if self._assertions is not None:
                identity += self._assertions.lines(session, application.audience, now, active=active)
            if active:
                self._guard.touch(session, now)
        headers, identity = application.authorized(scope["headers"], identity, session, decision)
        scope["headers"] = application.request_headers.forward(
            headers,
            identity,
            client=facts.client,
            host=facts.host,
            request_id=context.request_id,
        )
        answer.protect(self._own_cookies, private=session is not None, set_cookies=context.set_cookies)
        if websocket:
            await self._forward_websocket(scope, receive, answer, context, application, session)
            return
        task = asyncio.current_task()
        if session is None or task is None:
            await application.app(scope, receive, answer)
            return
        under = self.running.enter(session, task)
        try:
            await application.app(scope, receive, answer)
        except asyncio.CancelledError:
            if task not in under.cut:
                raise
            task.uncancel()
            raise SessionCut from None
        finally:
            self.running.leave(under, task)

    async def _forward_websocket(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        context: RequestContext,
        application: Application,
        session: Session | None,
    ) -> None:
        scope["gatekeeper.answer_headers"] = answer.headers
        facts, cookie, guard, clock = context.facts, context.cookie or b"", self._guard, self._clock
        if session is None or facts is None:
            await application.app(scope, receive, answer)
            return
        live = session
        scope["gatekeeper.watch"] = lambda end: self.sockets.watch(
            cookie, live, facts, application.policy, end
        )
        scope["gatekeeper.activity"] = lambda: guard.touch(live, clock())
        if application.app_watches:
            await application.app(scope, receive, answer)
        else:
            await run_websocket(application.app, scope, receive, answer)

    async def run(self) -> None:
        """What goes on between requests: sockets are judged again, watches given up. Until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self.running.sweep()
            await self.sockets.sweep()

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
        expected = isinstance(error, UpstreamFailure | SessionCut | RequestRejected)
        if not expected:
            self._on_error(context.request_id, error)
        if answer.started:
            raise error
        if self._kept is not None and context.resent is not None:
            await self._kept.failed(scope, context, error)
        if isinstance(error, RequestRejected) and (location := other_spelling(scope, error, self._config)):
            context.refusal = Refusal(307, error.reason)
            await redirect(answer, location, status=307)
            return
        if isinstance(error, UpstreamFailure | RequestRejected):
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
        answer.unprotect()
        facts = context.facts
        background = facts is not None and wants_json(facts.kind)
        if scope["type"] == "websocket" or background:
            await refuse_script(scope, answer, context, refusal)
        else:
            await self._pages(scope, receive, answer)
