"""Counting what a process does. Two or three additions a request; names become numbers here, once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from gatekeeper.core.context import RequestContext
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.policy import Decision, Outcome
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry.board import Board
from gatekeeper.telemetry.layout import BOUNDS, BUCKETS, WIDTH

_OUTCOME = {name: at.REQUESTS + index * WIDTH for index, name in enumerate(at.OUTCOMES)}
_ALLOW, _OWN_PAGE = _OUTCOME["allow"], _OUTCOME["own_page"]
_DECIDED = {
    Outcome.SIGN_IN: _OUTCOME["sign_in"],
    Outcome.STEP_UP: _OUTCOME["step_up"],
    Outcome.FORBIDDEN: _OUTCOME["forbidden"],
}
_BY_STATUS = {
    403: _OUTCOME["forbidden"],
    500: _OUTCOME["error"],
    502: _OUTCOME["upstream_error"],
    503: _OUTCOME["unavailable"],
    504: _OUTCOME["upstream_error"],
}
_REFUSED = _OUTCOME["refused"]
_REFUSAL = {name: at.REFUSED + index for index, name in enumerate(at.REFUSALS)}
_UPSTREAM = {name: at.FAILED_UPSTREAM + index for index, name in enumerate(at.UPSTREAM_ERRORS)}
_EVENT = {name: at.HAPPENED + index for index, name in enumerate(at.EVENTS)}
_METHOD = {"pwd": "password", "otp": "totp", "totp": "totp", "recovery": "recovery_code"}
_METHOD |= {"kba": "recovery_code", "hwk": "passkey", "swk": "passkey", "fed": "provider"}


class Metrics:
    """Writes to one board (`telemetry.layout`)."""

    def __init__(self, cells: Board) -> None:
        self.cells = cells

    def request(self, decision: Decision | None, context: RequestContext, seconds: float) -> None:
        """A request was answered, after so many seconds."""
        refusal = context.refusal
        if refusal is not None:
            start = _BY_STATUS.get(refusal.status, _REFUSED)
            if refusal.status >= 502 and refusal.reason.startswith("upstream_"):
                start = _OUTCOME["upstream_error"]
                self.cells[_UPSTREAM.get(refusal.reason, _UPSTREAM["other"])] += 1
        elif decision is None:
            start = _OWN_PAGE
        elif decision.outcome is Outcome.ALLOW:
            start = _ALLOW
        else:
            start = _DECIDED.get(decision.outcome, _REFUSED)
        cells = self.cells
        cells[start + bisect_left(BOUNDS, seconds)] += 1
        cells[start + BUCKETS] += int(seconds * 1e6)
        if context.cookie is not None:
            cells[at.LOOKUPS] += 1

    def allowed(self, seconds: float) -> None:
        """The same about a signed-in person's request that was let pass at once."""
        cells = self.cells
        cells[_ALLOW + bisect_left(BOUNDS, seconds)] += 1
        cells[_ALLOW + BUCKETS] += int(seconds * 1e6)
        cells[at.LOOKUPS] += 1

    def refused(self, reason: str) -> None:
        """The server refused bytes that were no request."""
        self.cells[_REFUSAL.get(reason, _REFUSAL["other"])] += 1

    def failed(self, error: BaseException) -> None:
        """Something went wrong that is not the client's mistake."""
        self.cells[at.STORE_ERRORS if isinstance(error, StoreUnavailable) else at.INTERNAL_ERRORS] += 1

    def happened(self, kind: str, details: Mapping[str, Any]) -> None:
        """A security event was written to the audit log."""
        self.cells[_EVENT.get(kind, _EVENT["other"])] += 1
        if kind == "sign_in.succeeded":
            self._signed_in(_last_method(str(details.get("methods", ""))), 0)
        elif kind == "sign_in.failed":
            method = "fed" if "provider" in details else str(details.get("method", "pwd"))
            self._signed_in(_METHOD.get(method, "other"), 1)

    def _signed_in(self, method: str, result: int) -> None:
        self.cells[at.SIGN_INS + at.METHODS.index(method) * len(at.RESULTS) + result] += 1


class CountingEmit:
    """The audit log's way out (`audit.log.Emit`), counted on the way."""

    def __init__(self, emit: Any, metrics: Metrics) -> None:
        self._emit = emit
        self._metrics = metrics

    def info(self, event: str, /, **fields: Any) -> Any:
        self._metrics.happened(str(fields.get("kind", "")), fields.get("details") or {})
        return self._emit.info(event, **fields)


def _last_method(methods: str) -> str:
    """The strongest of a session's methods, in the words of the metric: the one proved last."""
    for name in reversed(methods.split()):
        if (found := _METHOD.get(name)) is not None:
            return found
    return "other"
