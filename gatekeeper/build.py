"""The composition root: settings → objects. The only place that knows everything."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator

import structlog

from gatekeeper.accounts.admin_link import AdministratorLink
from gatekeeper.accounts.devices import Devices
from gatekeeper.accounts.hashing import PasswordHasher
from gatekeeper.accounts.lockout import Lockout, LockoutPolicy
from gatekeeper.accounts.rates import Attempt, Limits, Rate, Rates
from gatekeeper.accounts.sign_in import SignIn
from gatekeeper.accounts.steps import make_next_step
from gatekeeper.accounts.unlock import Unlock
from gatekeeper.audit.log import AuditLog
from gatekeeper.build_forward_auth import make_forward_auth, no_application, pages_only
from gatekeeper.build_mail import make_links, make_outbox, make_sender
from gatekeeper.build_pages import make_page_app
from gatekeeper.build_passwords import PasswordServices, make_step_policy
from gatekeeper.build_second_factor import make_second_factors
from gatekeeper.core.clock import Clock, SteadyClock
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.identity import IdentityNames, header_maker
from gatekeeper.core.origins import origin_of
from gatekeeper.core.policy import (
    NOBODY,
    PUBLIC,
    SIGNED_IN,
    Allow,
    Policy,
    compile_glob,
    make_allow,
    make_policy,
    make_rule,
)
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.session import Timeouts
from gatekeeper.core.target import Leniency
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.lifespan import LifespanFailed, inner_lifespan
from gatekeeper.gate.shell import Gate
from gatekeeper.sessions.invalidation import SqlInvalidations
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.sessions.sql import SqlSessionStore
from gatekeeper.settings import Settings
from gatekeeper.settings.lockout import CodeRates, MailRates, PasswordRates, parse_rate
from gatekeeper.settings.rules import Access, Word
from gatekeeper.storage.engine import Database
from gatekeeper.telemetry.access import AccessLog
from gatekeeper.telemetry.health import healthz, make_readyz
from gatekeeper.telemetry.logs import resolve_format
from gatekeeper.upstream.app import UpstreamApp
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.websocket import WebSocketRelay

_WORDS: dict[Word, Allow] = {"public": PUBLIC, "signed_in": SIGNED_IN, "deny": NOBODY}

log = structlog.get_logger("gatekeeper")


class Services:
    """The objects of one running process, made inside its event loop."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.db = Database(settings.database, data_dir=settings.data_dir)
        self.audit = AuditLog(self.db, clock, structlog.get_logger("gatekeeper.audit"))
        self.outbox = make_outbox(settings, self.db, clock)
        self.links = make_links(settings)
        self.hasher = PasswordHasher()
        secrets = make_secrets(settings)
        self.devices = Devices(clock)
        self.rates = Rates(self.audit, clock, secret=secrets[0], limits=make_rate_limits(settings))
        self.lockout = Lockout(
            LockoutPolicy(settings.lockout.attempts, settings.lockout.unlock_seconds),
            clock,
            devices=self.devices,
            audit=self.audit,
            outbox=self.outbox,
            links=self.links,
        )
        self.unlock = Unlock(self.db, self.lockout, clock)
        self.sign_in = SignIn(
            self.db,
            self.hasher,
            self.audit,
            clock,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            outbox=self.outbox,
        )
        passwords = PasswordServices(
            settings,
            db=self.db,
            hasher=self.hasher,
            audit=self.audit,
            outbox=self.outbox,
            links=self.links,
            lockout=self.lockout,
            rates=self.rates,
            clock=clock,
        )
        self.users = passwords.users
        self.password_changes = passwords.changes
        self.recovery = passwords.recovery
        self.invitations = passwords.invitations
        self.expiry = passwords.expiry
        self.second_factors = make_second_factors(
            settings,
            db=self.db,
            audit=self.audit,
            outbox=self.outbox,
            lockout=self.lockout,
            rates=self.rates,
            devices=self.devices,
            clock=clock,
        )
        self.admin_link = AdministratorLink(self.db, self.users, self.audit, clock)
        self.sessions = SessionManager(
            SqlSessionStore(self.db),
            self.users,
            secrets=make_secrets(settings),
            timeouts=make_timeouts(settings),
            next_step=make_next_step(make_step_policy(settings)),
            headers_for=header_maker(make_identity_names(settings)),
            clock=clock,
            invalidations=SqlInvalidations(self.db, on_error=_task_failed),
            on_error=_task_failed,
        )


class Gatekeeper:
    """The gate around `app` as an ASGI application, in any ASGI server.

    Without `app`, `settings.upstream` is protected; with `upstream: none` there are only Gatekeeper's own
    pages and its answers to other proxies. Services are made when the server sends lifespan.startup; the
    application's own lifespan runs inside ours. Raises ValueError when there is neither an application nor
    an upstream.
    """

    def __init__(self, app: ASGIApp | None, settings: Settings, *, clock: Clock | None = None) -> None:
        if app is None and settings.upstream is None and not settings.forward_auth_only:
            raise ValueError("upstream: is missing: there is no application to protect")
        self.settings = settings
        self._app = app
        self._clock = clock or SteadyClock()
        self._gate: Gate | None = None
        self.services: Services | None = None
        """Between start-up and shutdown."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self._gate is None:
            raise RuntimeError("the server must send lifespan.startup before the first request")
        else:
            await self._gate(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Services]:
        """Open everything, and close it in reverse. Raises StoreUnavailable when the database cannot be."""
        settings = self.settings
        services = Services(settings, self._clock)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(services.hasher.close)
            await services.db.open()
            stack.push_async_callback(services.db.close)
            await stack.enter_async_context(services.sessions)
            sender = make_sender(
                settings, services.db, services.outbox, services.audit, self._clock, _task_failed
            )
            if sender is not None:
                await stack.enter_async_context(sender.running())
            app = self._app
            if app is None and settings.forward_auth_only:
                app = no_application
            elif app is None:
                upstream = make_upstream(settings)
                stack.push_async_callback(upstream.aclose)
                app = upstream
            access = make_access_log(settings, self._clock)
            if access is not None:
                stack.callback(access.flush)
            gate = make_gate(app, settings, services, self._clock, access, app_watches=self._app is None)
            tasks = TaskKeeper(_task_failed)
            tasks.start(gate.run(), name="gate")
            tasks.start(services.expiry.run(), name="reminders of expiring passwords")
            stack.push_async_callback(tasks.close)
            self.services, self._gate = services, gate
            try:
                yield services
            finally:
                self.services = self._gate = None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        stage = "startup"
        try:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(self.running())
                if self._app is not None:
                    await stack.enter_async_context(inner_lifespan(self._app, scope))
                await send({"type": "lifespan.startup.complete"})
                await receive()  # lifespan.shutdown
                stage = "shutdown"
        except Exception as error:
            expected = isinstance(error, GatekeeperError | LifespanFailed)
            log.error("lifespan failed", stage=stage, error=str(error), exc_info=not expected)
            await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings, *, clock: Clock | None = None) -> Gatekeeper:
    """Gatekeeper as a reverse proxy in front of `settings.upstream`."""
    return Gatekeeper(None, settings, clock=clock)


def make_secrets(settings: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in settings.secrets]


def make_identity_names(settings: Settings) -> IdentityNames:
    identity = settings.identity
    return IdentityNames(identity.user, identity.name, identity.email, identity.groups)


def make_timeouts(settings: Settings) -> Timeouts:
    """How long sessions last."""
    session = settings.session
    return Timeouts(
        idle=session.idle_timeout,
        absolute=session.absolute_timeout,
        remember=session.remember if session.remember_me else 0.0,
        remember_max=session.remember_max,
    )


def make_rules(settings: Settings) -> Policy:
    """The operator's rules, compiled."""
    case_insensitive = settings.upstream is not None and settings.upstream.case_insensitive
    compiled = []
    for rule in settings.rules:
        allow = rule.allow
        who = (
            make_allow(roles=allow.roles, users=allow.users, two_factor=allow.two_factor)
            if isinstance(allow, Access)
            else _WORDS[allow]
        )
        compiled.append(
            make_rule(
                rule.path,
                rule.methods,
                who,
                path_regex=rule.path_regex,
                hosts=rule.host,
                networks=rule.networks,
                scheme=settings.public_scheme,
                case_insensitive=case_insensitive,
            )
        )
    return make_policy(compiled)


def make_rate_limits(settings: Settings) -> dict[Attempt, Limits]:
    """How often what may be tried."""

    def limits(section: PasswordRates | CodeRates | MailRates) -> Limits:
        written = (section.client, section.account, section.total)
        return Limits(*(Rate(*found) if (found := parse_rate(text)) else None for text in written))

    rates = settings.rate_limits
    return {
        Attempt.PASSWORD: limits(rates.passwords),
        Attempt.CODE: limits(rates.codes),
        Attempt.MAIL: limits(rates.mails),
    }


def make_cookie_names(settings: Settings) -> CookieNames:
    return CookieNames.make(settings.session.cookie_name, secure=settings.secure)


def make_gate_config(settings: Settings) -> GateConfig:
    """What the hot path needs, precomputed."""
    upstream, cookies, policy = settings.upstream, make_cookie_names(settings), make_rules(settings)
    leniency = Leniency()
    if upstream is not None:
        leniency = Leniency.of(frozenset(upstream.allow_in_path), case_insensitive=upstream.case_insensitive)
    scheme = settings.public_scheme
    return GateConfig(
        prefix=settings.prefix,
        scheme=scheme,
        hosts=OurHosts([settings.public_host], scheme),
        public_origins=frozenset([origin_of(settings.public_url)]),
        proxies=TrustedProxies(settings.proxy_networks, trust_unix=settings.trust_unix),
        policy=policy,
        leniency=leniency,
        cookies=cookies,
        request_headers=RequestHeaders(
            identity_names=[name for name in make_identity_names(settings) if name],
            own_cookies=cookies.all_spellings(),
            scheme=scheme,
            drop_overrides=policy.uses_methods,
        ),
        background_paths=tuple(
            compile_glob(path, case_insensitive=leniency.case_insensitive)
            for path in settings.session.background_paths
        ),
    )


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

    config = make_gate_config(settings)
    pages = make_page_app(
        settings,
        services,
        clock,
        secrets=make_secrets(settings),
        cookies=make_cookie_names(settings),
        report=_report,
    )
    forward_auth = make_forward_auth(
        config,
        pages=pages,
        guard=services.sessions,
        clock=clock,
        identity_names=frozenset(name for name in make_identity_names(settings) if name),
        on_line=access,
        on_error=_report,
    )
    health = {"/healthz": healthz, "/readyz": make_readyz({"sessions": sessions_healthy})}
    return Gate(
        app,
        pages=pages,
        guard=services.sessions,
        config=pages_only(config) if app is no_application else config,
        clock=clock,
        on_line=access,
        on_error=_report,
        own=forward_auth | health,
        app_watches=app_watches,
    )


def make_upstream(settings: Settings) -> UpstreamApp:
    """The client of the application. Raises ValueError when there is none, OSError for an unreadable CA."""
    upstream = settings.upstream
    if upstream is None:
        raise ValueError("upstream: is missing")
    origin = Origin.parse(upstream.url)
    ssl_context = make_ssl_context(upstream.ca_file) if origin.tls else None
    limits = UpstreamLimits(
        connect_timeout=upstream.connect_timeout,
        response_timeout=upstream.response_timeout,
        idle_timeout=upstream.idle_timeout,
        max_connections=upstream.max_connections,
        queue_timeout=upstream.queue_timeout,
    )
    public_origin = origin_of(settings.public_url)
    return UpstreamApp(
        origin,
        public_origin=public_origin,
        host_policy=upstream.host,
        limits=limits,
        ssl_context=ssl_context,
        websocket=WebSocketRelay(
            origin,
            allowed_origins=[public_origin],
            public_origin=public_origin,
            host_policy=upstream.host,
            limits=limits,
            message_max=upstream.websocket_message_max,
            ssl_context=ssl_context,
        ),
        on_error=_task_failed,
    )


def make_access_log(settings: Settings, clock: Clock) -> AccessLog | None:
    """None when a level above "info" was asked for."""
    if settings.log.level in ("warning", "error"):
        return None
    return AccessLog(sys.stderr, resolve_format(settings.log.format, sys.stderr), clock)


def _report(request_id: str, error: BaseException) -> None:
    log.error("internal server error", request_id=request_id, exc_info=error)


def _task_failed(error: BaseException) -> None:
    log.error("background task failed", exc_info=error)
