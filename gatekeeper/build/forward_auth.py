"""The composition root's part about forward auth: its endpoints, and what stands where no application is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.core.policy import PUBLIC, make_policy, make_rule
from gatekeeper.core.protocols import ASGIApp, Assertions, Receive, Scope, Send, SessionGuard
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.dialects import DIALECTS
from gatekeeper.gate.forbidden import Forbidden
from gatekeeper.gate.forward_auth import ForwardAuth
from gatekeeper.gate.line import Line, Measure

log = structlog.get_logger("gatekeeper")


def make_forward_auth(
    config: GateConfig,
    *,
    pages: ASGIApp,
    guard: SessionGuard,
    clock: Clock,
    identity_names: frozenset[str],
    on_line: Callable[[Line], None] | None,
    on_error: Callable[[str, BaseException], None],
    assertions: Assertions | None = None,
    measure: Measure | None = None,
) -> dict[str, ASGIApp]:
    """The endpoints under the prefix, for `Gate.own`."""
    endpoints: dict[str, ASGIApp] = {
        "/auth/forbidden": Forbidden(pages=pages, guard=guard, config=config, clock=clock, on_error=on_error)
    }
    for dialect in DIALECTS:
        below = "/" if dialect.in_place else ""
        endpoints[f"/auth/{dialect.name}{below}"] = ForwardAuth(
            dialect,
            pages=pages,
            guard=guard,
            config=config,
            clock=clock,
            identity_names=identity_names,
            on_line=on_line,
            measure=measure,
            on_error=on_error,
            complain=_complain,
            assertions=assertions,
        )
    return endpoints


def pages_only(config: GateConfig) -> GateConfig:
    """For the gate itself: where `no_application` stands, nobody is sent to sign in for a page that does not
    exist."""
    policy = make_policy([make_rule(None, None, PUBLIC)])

    def without_rules(application: Application) -> Application:
        if application.app is not no_application:
            return application
        return replace(application, policy=policy)

    made = {application: without_rules(application) for application in config.applications.all}
    places = [Place(host, path, made[application]) for host, path, application in config.applications.places]
    return replace(config, applications=Applications(places))


async def no_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where the application would, with `upstream: none`."""
    raise UpstreamFailure(404, "no_application")


def _complain(dialect: str, peer: str, problem: str) -> None:
    log.warning("forward auth refused", dialect=dialect, peer=peer or "unix", problem=problem)
