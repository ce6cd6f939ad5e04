"""One finished request, as the access log hears of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatekeeper.core.context import RequestContext
from gatekeeper.core.policy import Decision
from gatekeeper.core.protocols import Scope
from gatekeeper.gate.answer import Answer


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


class Measure(Protocol):
    """Who counts requests (`telemetry.metrics.Metrics`); a microsecond each at most."""

    def request(self, decision: Decision | None, context: RequestContext, seconds: float) -> None: ...

    def allowed(self, seconds: float) -> None:
        """The same about a signed-in person's request that was let pass at once."""
        ...


def make_line(
    scope: Scope, context: RequestContext, answer: Answer, decision: Decision | None, seconds: float
) -> Line:
    """The access log's line about a finished request."""
    facts, session, refusal = context.facts, context.session, context.refusal
    if facts is not None:
        client, path = facts.client, facts.target.path
    else:
        client = scope["client"][0] if scope.get("client") else ""
        path = (scope.get("raw_path") or b"").decode("latin-1")
    if decision is not None and refusal is None:
        outcome = decision.outcome.name.lower()
    else:
        outcome = refusal.reason if refusal is not None else "own_page"
    return Line(
        request_id=context.request_id,
        client=client,
        method=scope.get("method", "WEBSOCKET"),
        path=path,
        status=answer.status,
        outcome=outcome,
        rule=decision.rule if decision is not None else None,
        login=session.user.login if session is not None else "",
        bytes=answer.bytes,
        seconds=seconds,
    )


def question_line(
    scope: Scope, context: RequestContext, answer: Answer, decision: Decision | None, seconds: float
) -> Line:
    """The access log's line about a request that another proxy asked about."""
    facts, session, refusal = context.facts, context.session, context.refusal
    if facts is not None:
        client, method, path = facts.client, facts.method, facts.target.path
    else:
        client = scope["client"][0] if scope.get("client") else ""
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
    if refusal is not None:
        outcome = refusal.reason
    else:
        outcome = decision.outcome.name.lower() if decision is not None else "error"
    return Line(
        request_id=context.request_id,
        client=client,
        method=method,
        path=path,
        status=answer.status,
        outcome=outcome,
        rule=decision.rule if decision is not None else None,
        login=session.user.login if session is not None else "",
        bytes=answer.bytes,
        seconds=seconds,
    )
