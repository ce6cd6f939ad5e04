"""Settings → the gate and its access log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from uvicorn.protocols.utils import ClientDisconnected

from gatekeeper import __version__
from gatekeeper.assertions.endpoint import make_key_set
from gatekeeper.build.applications import NOTHING, Behind, make_applications, not_shown
from gatekeeper.build.forward_auth import make_forward_auth, pages_only
from gatekeeper.build.pages import make_page_app
from gatekeeper.build.report import report_error
from gatekeeper.build.services import Services
from gatekeeper.build.values import make_cookie_names, make_public_origins, make_secrets, make_timeouts
from gatekeeper.core import probe
from gatekeeper.core.clock import Clock
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.kept import KeptFormGate
from gatekeeper.gate.probe import Probe
from gatekeeper.gate.shell import Gate
from gatekeeper.settings import Settings
from gatekeeper.telemetry.access import AccessLog
from gatekeeper.telemetry.health import Check, healthz, make_readyz
from gatekeeper.telemetry.logs import resolve_format
from gatekeeper.telemetry.metrics import Metrics

WRITES_SUSPECT = 10.0
"""Seconds after a failed write for which nobody new should be sent here."""


def make_gate_config(settings: Settings, behind: Sequence[Behind] | None = None) -> GateConfig:
    """What the hot path needs, precomputed. `behind` has what answers for each of `settings.applications`;
    None: nothing does, and questions are answered alone."""
    scheme = settings.public_scheme
    return GateConfig(
        timeouts=make_timeouts(settings),
        prefix=settings.prefix,
        scheme=scheme,
        hosts=OurHosts(settings.hosts, scheme),
        public_origins=frozenset(make_public_origins(settings)),
        proxies=TrustedProxies(settings.proxy_networks, trust_unix=settings.trust_unix),
        cookies=make_cookie_names(settings),
        applications=make_applications(settings, behind)
        if behind is not None
        else make_applications(settings, [NOTHING] * len(settings.applications), not_shown),
    )


def make_ready(services: Services, clock: Clock) -> dict[str, Check]:
    """What must be well for requests to be answered well, by the names in `telemetry.layout.PARTS`."""

    async def sessions_healthy() -> bool:
        return services.sessions.healthy(clock())

    async def database_writable() -> bool:
        return not services.db.write_failed_within(WRITES_SUSPECT)

    return {"sessions": sessions_healthy, "database": database_writable}


def count_error(metrics: Metrics, request_id: str, error: BaseException) -> None:
    if not isinstance(error, ClientDisconnected):
        metrics.failed(error)
    report_error(request_id, error)


def make_gate(
    behind: Sequence[Behind],
    settings: Settings,
    services: Services,
    clock: Clock,
    access: AccessLog | None,
    metrics: Metrics | None,
) -> Gate:
    report = report_error if metrics is None else partial(count_error, metrics)
    config = make_gate_config(settings, behind)
    pages = make_page_app(
        settings,
        services,
        clock,
        applications=config.applications,
        secrets=make_secrets(settings),
        cookies=make_cookie_names(settings),
        report=report,
    )
    forward_auth = make_forward_auth(
        config,
        pages=pages,
        guard=services.sessions,
        clock=clock,
        identity_names=frozenset(settings.identity.headers.values()),
        on_line=access,
        measure=metrics,
        on_error=report,
        assertions=services.assertions,
    )
    health = {
        "/healthz": healthz,
        "/readyz": make_readyz(make_ready(services, clock)),
    }
    doctor = Probe(config, SecretBox(make_secrets(settings), probe.PURPOSE), clock, __version__)
    keys = services.signing_keys
    key_set = {} if keys is None else {"/jwks.json": make_key_set(keys)}
    return Gate(
        pages=pages,
        guard=services.sessions,
        config=pages_only(config),
        clock=clock,
        on_line=access,
        measure=metrics,
        on_error=report,
        own=forward_auth | health | key_set | {probe.PATH: doctor},
        assertions=services.assertions,
        kept=None
        if services.kept_forms is None
        else KeptFormGate(services.kept_forms, make_cookie_names(settings), config),
    )


def make_access_log(settings: Settings, clock: Clock) -> AccessLog | None:
    """None when a level above "info" was asked for."""
    if settings.log.level in ("warning", "error"):
        return None
    return AccessLog(sys.stderr, resolve_format(settings.log.format, sys.stderr), clock)
