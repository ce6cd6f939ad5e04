"""The composition root: settings → objects. The only place that knows everything."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

import structlog

from gatekeeper.build.applications import open_applications
from gatekeeper.build.gate import make_access_log, make_gate, make_ready
from gatekeeper.build.mail import make_sender
from gatekeeper.build.metrics import make_sampler
from gatekeeper.build.report import task_failed
from gatekeeper.build.services import Services
from gatekeeper.build.sessions import close_session_store
from gatekeeper.core.clock import Clock, SteadyClock
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.gate.lifespan import LifespanFailed, inner_lifespan
from gatekeeper.gate.shell import Gate
from gatekeeper.settings import Settings
from gatekeeper.telemetry.metrics import Metrics

log = structlog.get_logger("gatekeeper")


class Gatekeeper:
    """The gate around `app` as an ASGI application, in any ASGI server.

    Without `app`, what `settings.upstream` names is protected; with `none` there are only Gatekeeper's own
    pages and its answers to other proxies. With `app`, it is the only application, or, where `upstream` is a
    list, answers for those in it that have no address (`url` left out, or none).

    Services are made when the server sends lifespan.startup; the application's own lifespan runs inside
    ours. Raises ValueError when there is neither an application nor an upstream.
    """

    def __init__(
        self,
        app: ASGIApp | None,
        settings: Settings,
        *,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        if app is None and not all(application.url for application in settings.applications):
            raise ValueError("upstream: is missing: there is no application to protect")
        self.settings = settings
        self._app = app
        self._metrics = metrics
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

    def immediate(
        self, peer: str, method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """See `core.protocols.Immediate`."""
        return None if self._gate is None else self._gate.immediate(peer, method, raw_path, query, headers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Services]:
        """Open everything, and close it in reverse. Raises StoreUnavailable when the database cannot be."""
        settings = self.settings
        services = Services(settings, self._clock, self._metrics)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(services.hasher.close)
            await services.db.open()
            stack.push_async_callback(services.db.close)
            stack.push_async_callback(close_session_store, services.session_store)
            if services.signing_keys is not None:
                await services.signing_keys.refresh()
            await stack.enter_async_context(services.sessions)
            sender = make_sender(
                settings, services.db, services.outbox, services.audit, self._clock, task_failed
            )
            if sender is not None:
                await stack.enter_async_context(sender.running())
            behind = open_applications(settings, self._app, stack)
            access = make_access_log(settings, self._clock)
            if access is not None:
                stack.callback(access.flush)
            gate = make_gate(behind, settings, services, self._clock, access, self._metrics)
            tasks = TaskKeeper(task_failed)
            tasks.start(gate.run(), name="gate")
            if self._metrics is not None:
                pools = [one.pool for one in behind if one.pool is not None]
                ready = make_ready(services, self._clock)
                sampler = make_sampler(self._metrics, services, gate, pools, ready, self._clock)
                await sampler.sample(ask=False)
                tasks.start(sampler.run(), name="metrics")
            tasks.start(services.expiry.run(), name="reminders of expiring passwords")
            if services.signing_keys is not None:
                tasks.start(services.signing_keys.run(), name="signing keys")
            if services.kept_forms is not None:
                tasks.start(services.kept_forms.run(), name="kept forms")
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


def create_app(
    settings: Settings, *, clock: Clock | None = None, metrics: Metrics | None = None
) -> Gatekeeper:
    """Gatekeeper as a reverse proxy in front of `settings.upstream`."""
    return Gatekeeper(None, settings, clock=clock, metrics=metrics)
