"""Settings → the gate and its access log."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gatekeeper import __version__
from gatekeeper.assertions.endpoint import make_key_set
from gatekeeper.build.forward_auth import make_forward_auth, no_application, pages_only
from gatekeeper.build.pages import make_page_app
from gatekeeper.build.report import report_error
from gatekeeper.build.services import Services
from gatekeeper.build.values import make_audience, make_cookie_names, make_rules, make_secrets
from gatekeeper.core import probe
from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.clock import Clock
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.origins import origin_of
from gatekeeper.core.policy import (
    compile_glob,
)
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.core.target import Leniency
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.probe import Probe
from gatekeeper.gate.shell import Gate
from gatekeeper.settings import Settings
from gatekeeper.telemetry.access import AccessLog
from gatekeeper.telemetry.health import healthz, make_readyz
from gatekeeper.telemetry.logs import resolve_format
from gatekeeper.upstream.session_script import SessionScript

WRITES_SUSPECT = 10.0
"""Seconds after a failed write for which nobody new should be sent here."""


def make_gate_config(
    settings: Settings, app: ASGIApp = no_application, *, app_watches: bool = False
) -> GateConfig:
    """What the hot path needs, precomputed."""
    upstream, cookies, policy = settings.upstream, make_cookie_names(settings), make_rules(settings)
    leniency = Leniency()
    if upstream is not None:
        leniency = Leniency.of(frozenset(upstream.allow_in_path), case_insensitive=upstream.case_insensitive)
    scheme = settings.public_scheme
    application = Application(
        policy=policy,
        leniency=leniency,
        request_headers=RequestHeaders(
            identity_names=settings.identity.headers.values(),
            own_cookies=cookies.all_spellings(),
            scheme=scheme,
            drop_overrides=policy.uses_methods,
        ),
        app=app,
        app_watches=app_watches,
        audience=make_audience(settings),
        background_paths=tuple(
            compile_glob(path, case_insensitive=leniency.case_insensitive)
            for path in settings.session.background_paths
        ),
        scripted=_scripted(app, settings),
    )
    hosts = OurHosts([settings.public_host], scheme)
    return GateConfig(
        prefix=settings.prefix,
        scheme=scheme,
        hosts=hosts,
        public_origins=frozenset([origin_of(settings.public_url)]),
        proxies=TrustedProxies(settings.proxy_networks, trust_unix=settings.trust_unix),
        cookies=cookies,
        applications=Applications([Place(settings.public_host, "/", application)]),
    )


def _scripted(app: ASGIApp, settings: Settings) -> Callable[[], bool] | None:
    """Pages without the script mean people whose activity nobody reports, until they would be idle anyway."""
    if not isinstance(app, SessionScript):
        return None
    return lambda: not app.absent_within(settings.session.idle_timeout)


def make_gate(
    app: ASGIApp,
    settings: Settings,
    services: Services,
    clock: Clock,
    access: AccessLog | None,
    *,
    app_watches: bool,
) -> Gate:
    async def sessions_healthy() -> bool:
        return services.sessions.healthy(clock())

    async def database_writable() -> bool:
        return not services.db.write_failed_within(WRITES_SUSPECT)

    config = make_gate_config(settings, app, app_watches=app_watches)
    pages = make_page_app(
        settings,
        services,
        clock,
        secrets=make_secrets(settings),
        cookies=make_cookie_names(settings),
        report=report_error,
    )
    forward_auth = make_forward_auth(
        config,
        pages=pages,
        guard=services.sessions,
        clock=clock,
        identity_names=frozenset(settings.identity.headers.values()),
        on_line=access,
        on_error=report_error,
        assertions=services.assertions,
    )
    health = {
        "/healthz": healthz,
        "/readyz": make_readyz({"sessions": sessions_healthy, "database": database_writable}),
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
        on_error=report_error,
        own=forward_auth | health | key_set | {probe.PATH: doctor},
        assertions=services.assertions,
    )


def make_access_log(settings: Settings, clock: Clock) -> AccessLog | None:
    """None when a level above "info" was asked for."""
    if settings.log.level in ("warning", "error"):
        return None
    return AccessLog(sys.stderr, resolve_format(settings.log.format, sys.stderr), clock)
