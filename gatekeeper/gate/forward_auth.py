"""Forward auth: another proxy carries the traffic and asks here, for each request, whether it may pass.

The same facts, the same `decide`, the same sessions as in front of the application; only the way in
(`Dialect`) and the way out differ. Positive answers carry what the proxy must hand to the application:
identity, and the browser's cookies without ours.

| answer | nginx | the others, which hand it on to the browser |
|---|---|---|
| may pass | 200 | 200 |
| sign in | 401, for pages with X-Gatekeeper-Sign-In | 302, or 401 JSON for scripts and WebSockets |
| may not, or cannot be read in one way only | 403 | 403 page or JSON |
| cannot be decided | 503 | 503 page or JSON |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from itertools import count

from gatekeeper.core.applications import Application
from gatekeeper.core.clock import Clock
from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.cookies import without_cookies
from gatekeeper.core.errors import RequestRejected, Undecidable
from gatekeeper.core.headers import header_lines
from gatekeeper.core.origins import origin_allowed
from gatekeeper.core.policy import Decision, Outcome, decide
from gatekeeper.core.protocols import ASGIApp, Assertions, Receive, Scope, Send, SessionGuard
from gatekeeper.core.session import EndReason, HeaderList, Session
from gatekeeper.gate.answer import Answer
from gatekeeper.gate.config import REMEMBERED, GateConfig
from gatekeeper.gate.dialects import Dialect, QuestionReader
from gatekeeper.gate.line import Line, Measure, question_line
from gatekeeper.gate.made import MadeLines
from gatekeeper.gate.refusals import (
    plain,
    refuse_background,
    refuse_script,
    sign_in_location,
    step_up_location,
    wants_json,
)
from gatekeeper.gate.shell import CHANGE_PASSWORD
from gatekeeper.gate.sign_out import UNCONFIRMED, lead, sign_out_location

SIGN_IN_HEADER = b"x-gatekeeper-sign-in"
REQUEST_ID_HEADER = b"x-request-id"
COMPLAINTS = 64
"""Askers and mistakes of which the log tells, once each."""

_NO_STORE = (b"cache-control", b"no-store")
_EMPTY = (b"content-length", b"0")
# nginx reads them in this order, and the first that speaks decides: for one second, its shortest time.
_FOR_A_SECOND = ((b"x-accel-expires", b"1"), _NO_STORE, _EMPTY)
_FOR_ONCE = (_NO_STORE, _EMPTY)

Complain = Callable[[str, str, str], None]
"""Told of a proxy that asks in a wrong way: (dialect, peer, what is wrong)."""


class ForwardAuth:
    """One dialect's endpoint, a plain ASGI application.

    Arguments as of `gate.shell.Gate`. `identity_names` are the headers that the answer may carry.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        pages: ASGIApp,
        guard: SessionGuard,
        config: GateConfig,
        clock: Clock,
        identity_names: frozenset[str],
        on_line: Callable[[Line], None] | None,
        on_error: Callable[[str, BaseException], None],
        complain: Complain,
        assertions: Assertions | None = None,
        measure: Measure | None = None,
    ) -> None:
        self._dialect = dialect
        self._read = QuestionReader(dialect, config).read
        self._pages = pages
        self._guard = guard
        self._config = config
        self._clock = clock
        self._on_line, self._measure = on_line, measure
        self._on_error = on_error
        self._complain = complain
        self._assertions = assertions
        self._complaints: set[tuple[str, str]] = set()
        clean = partial(without_cookies, own=config.cookies.all_spellings())
        self._clean, self._known_clean = clean, lru_cache(4096)(clean)
        self._removable = (b"cookie", *sorted(name.lower().encode("ascii") for name in identity_names))
        self._own_paths = frozenset((config.prefix, CHANGE_PASSWORD))
        self._made = MadeLines()
        self._prefix_slash = config.prefix + "/"
        self._page_header = None if dialect.relays else SIGN_IN_HEADER
        self._id_prefix = secrets.token_hex(4)
        self._id_counter = count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        context = RequestContext(f"{self._id_prefix}{next(self._id_counter):08x}", None)
        answer = Answer(send)
        decision: Decision | None = None
        try:
            peer = scope["client"][0] if scope.get("client") else ""
            if not self._config.proxies.trusts(peer):
                await self._distrust(answer, context, peer)
                return
            facts, cookie, cookies, application = self._read(
                peer, scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
            )
            context.facts, context.cookie = facts, cookie
            now = self._clock()
            if cookie is not None:
                await self._find_session(context, cookie, now)
            path = facts.target.path
            if path.startswith(self._prefix_slash) or path in self._own_paths:
                raise RequestRejected(403, "own_path")
            if application is None:
                raise RequestRejected(403, "no_application")
            if application.signs_out(facts.target.readings):
                if wants_json(facts.kind):  # that it came from this host, the question cannot prove
                    raise RequestRejected(403, UNCONFIRMED.reason)
                context.refusal = Refusal(302, "sign_out")
                path = sign_out_location(self._config.prefix, application.front)
                await lead(answer, self._config, facts, path, self._page_header)
                return
            decision = decide(application.policy, facts, context.session, now)
            if decision.outcome is Outcome.ALLOW:
                if facts.kind is Kind.WEBSOCKET and not origin_allowed(
                    scope["headers"], (self._config.own_origin(facts.host),)
                ):
                    raise RequestRejected(403, "foreign_origin")
                headers = self._passing(context.session, facts, application, cookies, now, decision)
                await answer({"type": "http.response.start", "status": 200, "headers": headers})
                await answer({"type": "http.response.body", "body": b""})
            elif decision.outcome in (Outcome.SIGN_IN, Outcome.STEP_UP):
                await self._send_away(scope, answer, context, facts, decision.outcome)
            else:
                reason = "forbidden" if decision.outcome is Outcome.FORBIDDEN else "denied"
                await self._refuse(scope, receive, answer, context, Refusal(403, reason))
        except Exception as error:
            await self._failed(scope, receive, answer, context, error)
        finally:
            seconds = time.perf_counter() - began
            if self._measure is not None:
                self._measure.request(decision, context, seconds)
            if self._on_line is not None:
                self._on_line(question_line(scope, context, answer, decision, seconds))

    def immediate(
        self, peer: str, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """The header lines of a positive answer that takes no waiting: see `core.protocols.Immediate`.

        Everything else is None, and is judged again from its beginning by `__call__`, which also says why.
        """
        began = time.perf_counter()
        if not self._config.proxies.trusts(peer):
            return None
        try:
            facts, cookie, cookies, application = self._read(peer, method, raw_path, query, headers)
        except RequestRejected:
            return None
        if cookie is None or application is None or facts.kind is Kind.WEBSOCKET:
            return None
        if application.authorization is not None or application.logout_paths:
            return None
        now = self._clock()
        session = self._guard.peek(cookie, now)
        if session is None or isinstance(session, EndReason):
            return None
        path = facts.target.path
        if path.startswith(self._prefix_slash) or path in self._own_paths:
            return None
        decision = decide(application.policy, facts, session, now)
        if decision.outcome is not Outcome.ALLOW:
            return None
        try:
            lines = self._passing_lines(cookie, session, facts, application, cookies, now)
        except Undecidable:  # said, and answered 503, by `__call__`
            return None
        if self._measure is not None:
            self._measure.allowed(time.perf_counter() - began)
        if self._on_line is not None:
            self._on_line(
                Line(
                    request_id=f"{self._id_prefix}{next(self._id_counter):08x}",
                    client=facts.client,
                    method=facts.method,
                    path=path,
                    status=200,
                    outcome="allow",
                    rule=decision.rule,
                    login=session.user.login,
                    bytes=0,
                    seconds=time.perf_counter() - began,
                )
            )
        return lines

    def _passing_lines(
        self,
        cookie: bytes,
        session: Session,
        facts: Facts,
        application: Application,
        cookies: bytes,
        now: float,
    ) -> bytes:
        """The header lines of a positive answer, made once for a burst of questions about one person."""
        lines = self._made.find(cookie, session, application, cookies, now)
        if lines is None:
            lines = header_lines(tuple(self._passing(session, facts, application, cookies, now, None)))
            self._made.keep(cookie, session, application, cookies, now, lines)
        elif session.step == "" and application.counts_as_activity(facts.target.readings[0]):
            self._guard.touch(session, now)
        return lines

    async def _find_session(self, context: RequestContext, cookie: bytes, now: float) -> None:
        found = self._guard.peek(cookie, now)
        if found is None:
            found = await self._guard.load(cookie, now)
        if isinstance(found, EndReason):
            context.ended = found
        else:
            context.session = found

    def _passing(
        self,
        session: Session | None,
        facts: Facts,
        application: Application,
        cookies: bytes,
        now: float,
        decision: Decision | None,
    ) -> list[tuple[bytes, bytes]]:
        """The headers of a positive answer."""
        identity: HeaderList = ()
        authorization = application.authorization
        if session is not None and session.step == "":  # half signed in is nobody, on public paths too
            active = application.counts_as_activity(facts.target.readings[0])
            identity = session.headers
            if self._assertions is not None:
                identity += self._assertions.lines(session, application.audience, now, active=active)
            if active:
                self._guard.touch(session, now)
            if session.record.tab_seen_at:
                self._guard.used(session, now, navigation=facts.kind is Kind.NAVIGATION)
        if authorization is not None and decision is not None:
            complete = session if session is not None and session.step == "" else None
            value = authorization.value(complete, application.policy, decision)
            identity += authorization.answered(value, told=application.elsewhere)
        cached = self._dialect.cached and facts.kind is not Kind.WEBSOCKET
        headers = [*(_FOR_A_SECOND if cached else _FOR_ONCE), *identity]
        if cookies:
            rest = (self._known_clean if len(cookies) <= REMEMBERED else self._clean)(cookies)
            if rest:
                headers.append((b"cookie", rest))
        if self._dialect.removes or self._dialect.fills:
            given = {name for name, _ in headers}
            missing = [name for name in self._removable if name not in given]
            if self._dialect.fills:
                headers += [(name, b"") for name in missing]
            elif missing:
                headers.append((b"x-envoy-auth-headers-to-remove", b",".join(missing)))
        return headers

    async def _send_away(
        self, scope: Scope, answer: Answer, context: RequestContext, facts: Facts, outcome: Outcome
    ) -> None:
        """To the sign-in page, or to that of the second factor."""
        config, dialect, session = self._config, self._dialect, context.session
        background = wants_json(facts.kind)
        if background and dialect.relays:
            error = "unauthenticated" if context.ended is None else f"session_{context.ended.value}"
            page = config.prefix + "/login"
            if outcome is Outcome.STEP_UP and session is not None:
                error, page = "second_factor_required", step_up_location(config.prefix, session.user)
            await refuse_background(
                scope, answer, 401, error=error, request_id=context.request_id, sign_in=page
            )
            return
        if background:
            await answer({"type": "http.response.start", "status": 401, "headers": [_NO_STORE, _EMPTY]})
            await answer({"type": "http.response.body", "body": b""})
            return
        referer = next((value for name, value in scope["headers"] if name == b"referer"), None)
        origin = config.own_origin(facts.host)
        if outcome is Outcome.STEP_UP and session is not None:
            path = step_up_location(config.prefix, session.user, facts, referer, origin)
        else:
            path = sign_in_location(config.prefix, facts, context.ended, referer, origin)
        await lead(answer, config, facts, path, self._page_header)

    async def _failed(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext, error: Exception
    ) -> None:
        """Whatever goes wrong is a refusal: the proxy must not take it for a yes."""
        if isinstance(error, RequestRejected):
            refusal = Refusal(403, error.reason)
            if error.reason == "own_path":
                self._tell_once(scope, f"{self._config.prefix} must be led to Gatekeeper without asking it")
            elif error.reason.startswith("question_"):
                self._tell_once(scope, f"{error.reason.replace('_', ' ')}: {error}")
        elif isinstance(error, Undecidable):
            self._on_error(context.request_id, error)
            refusal = Refusal(503, error.reason, retry_after=error.retry_after)
        else:
            self._on_error(context.request_id, error)
            refusal = Refusal(503, "internal_error")
        if answer.started:
            raise error
        await self._refuse(scope, receive, answer, context, refusal)

    async def _refuse(
        self, scope: Scope, receive: Receive, answer: Answer, context: RequestContext, refusal: Refusal
    ) -> None:
        context.refusal = refusal
        facts = context.facts
        if not self._dialect.relays:
            headers = [_NO_STORE, _EMPTY, (REQUEST_ID_HEADER, context.request_id.encode("ascii"))]
            if refusal.retry_after is not None:
                headers.append((b"retry-after", str(refusal.retry_after).encode("ascii")))
            await answer({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await answer({"type": "http.response.body", "body": b""})
        elif facts is not None and wants_json(facts.kind):
            await refuse_script(scope, answer, context, refusal)
        else:
            scope["gatekeeper"] = context
            await self._pages(scope, receive, answer)

    async def _distrust(self, answer: Answer, context: RequestContext, peer: str) -> None:
        context.refusal = Refusal(403, "untrusted_proxy")
        self._tell_once(
            {"client": (peer, 0)},
            f"not believed: add {peer or 'unix'} to trusted_proxies when it is your proxy",
        )
        await plain(answer, 403, b"Only a proxy in trusted_proxies may ask here.\n")

    def _tell_once(self, scope: Scope, what: str) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        if len(self._complaints) < COMPLAINTS and (peer, what) not in self._complaints:
            self._complaints.add((peer, what))
            self._complain(self._dialect.name, peer, what)
