"""Settings → the client of the application."""

from __future__ import annotations

from gatekeeper.build.report import task_failed
from gatekeeper.settings import Settings
from gatekeeper.settings.upstream import UpstreamSettings
from gatekeeper.upstream.app import UpstreamApp
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.websocket import WebSocketRelay


def make_upstream(settings: Settings, upstream: UpstreamSettings) -> UpstreamApp:
    """The client of one application. Raises OSError for an unreadable CA."""
    origin = Origin.parse(upstream.url)
    ssl_context = make_ssl_context(upstream.ca_file) if origin.tls else None
    limits = UpstreamLimits(
        connect_timeout=upstream.connect_timeout,
        response_timeout=upstream.response_timeout,
        idle_timeout=upstream.idle_timeout,
        max_connections=upstream.max_connections,
        queue_timeout=upstream.queue_timeout,
    )
    public_origins = tuple(
        dict.fromkeys(f"{settings.public_scheme}://{place.host}" for place in settings.places(upstream))
    )
    return UpstreamApp(
        origin,
        public_origins=public_origins,
        host_policy=upstream.host,
        limits=limits,
        ssl_context=ssl_context,
        websocket=WebSocketRelay(
            origin,
            allowed_origins=public_origins,
            public_origins=public_origins,
            host_policy=upstream.host,
            limits=limits,
            message_max=upstream.websocket_message_max,
            ssl_context=ssl_context,
        ),
        on_error=task_failed,
    )
