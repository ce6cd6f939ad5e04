"""Finding one request in the access log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

import click

_SHOWN_REFUSALS = {"sign_in": "sign_in", "step_up": "step_up", "forbidden": "forbidden", "denied": "deny"}


class LoggedRequest(NamedTuple):
    """What the access log tells of a request: neither query nor host, nor what had been proved."""

    request_id: str
    client: str
    method: str
    path: str
    status: int
    outcome: str
    rule: int | None
    login: str

    @property
    def judged(self) -> str | None:
        """The outcome of the rules, by the name of `core.policy.Outcome` in lower case; None when none."""
        return "allow" if self.outcome == "allow" else _SHOWN_REFUSALS.get(self.outcome)

    @property
    def target(self) -> str:
        """The path as an address."""
        return quote(self.path, safe="/:@!$&'()*+,;=~")


def find_request(lines: Iterable[str], request_id: str) -> LoggedRequest:
    """The request's line in a log of JSON lines. Raises ClickException, which says why there is none."""
    readable = False
    for line in lines:
        # What runs the service may have put its own words in front of each line.
        begin = line.find("{")
        if begin < 0:
            continue
        try:
            found = json.loads(line[begin:])
        except ValueError:
            continue
        if not isinstance(found, dict) or found.get("event") != "request":
            continue
        readable = True
        if found.get("request_id") == request_id:
            return _read(found)
    if readable:
        raise click.ClickException(f"there is no request {request_id!r} in this log")
    raise click.ClickException(
        "there is no line of an access log in this file: it is written to standard error, one JSON line for "
        "each request, unless log.format is console (always on a terminal) or log.level hides it"
    )


def _read(found: dict[str, object]) -> LoggedRequest:
    rule = found.get("rule")
    status = found.get("status")
    return LoggedRequest(
        request_id=str(found.get("request_id", "")),
        client=str(found.get("client", "")),
        method="GET" if found.get("method") == "WEBSOCKET" else str(found.get("method", "GET")),
        path=str(found.get("path", "/")),
        status=status if isinstance(status, int) else 0,
        outcome=str(found.get("outcome", "")),
        rule=rule if isinstance(rule, int) else None,
        login=str(found.get("login", "")),
    )
