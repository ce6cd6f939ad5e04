"""Settings → the session script in the application's pages."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gatekeeper.build.report import task_failed
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.pages.static import session_script_url
from gatekeeper.pages.templates import TemplateFolders
from gatekeeper.settings import Settings
from gatekeeper.settings.upstream import UpstreamSettings
from gatekeeper.upstream.csp import Addresses
from gatekeeper.upstream.session_script import ScriptTag, SessionScript

log = structlog.get_logger("gatekeeper")

_ADVICE = {
    "compressed": "the application compresses although it was asked not to: switch its compression off",
    "no-transform": "the application's Cache-Control says no-transform",
    "charset": "the page's encoding is not one that scripts can be put into; UTF-8 is",
    "no-place": "no <head> was found in the first 64 KiB",
    "csp": "the page's Content-Security-Policy keeps it out by {0}; it needs 'self' in script-src (or "
    "a nonce) and in connect-src, and no sandbox",
}


def make_session_script(app: ASGIApp, settings: Settings, application: UpstreamSettings) -> SessionScript:
    """`app` with the script in its pages. Raises FileNotFoundError."""
    src = session_script_url(TemplateFolders(settings.templates_dir), settings.prefix)
    addresses = Addresses(
        origin=f"{settings.public_scheme}://{settings.places(application)[0].host}",
        script=src.partition("?")[0],
        endpoint=settings.prefix + "/session",
    )
    corner = application.session_script
    position = corner if isinstance(corner, str) else ""
    return SessionScript(
        app,
        ScriptTag(src, settings.prefix, addresses, position),
        on_left_out=_teller(application.label),
        on_error=task_failed,
    )


def _teller(application: str) -> Callable[[str], None]:
    def tell(reason: str) -> None:
        kind, _, directive = reason.partition(" ")
        log.warning(
            "a page goes without the session script; this is said once",
            application=application,
            reason=reason,
            advice=_ADVICE[kind].format(directive),
        )

    return tell
