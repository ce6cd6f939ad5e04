"""Settings → the applications, each where people find it and with what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from gatekeeper.build.forward_auth import no_application
from gatekeeper.build.session_script import make_session_script
from gatekeeper.build.upstream import make_upstream
from gatekeeper.build.values import make_audience, make_cookie_names, make_policy_of
from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.authorization import Authorization, Choice
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.policy import compile_glob
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.core.target import Leniency
from gatekeeper.settings import Settings
from gatekeeper.settings.authorization import read_authorization
from gatekeeper.settings.upstream import UpstreamSettings
from gatekeeper.upstream.pool import ConnectionPool
from gatekeeper.upstream.session_script import SessionScript


class Behind(NamedTuple):
    """What answers for an application, and whether it ends its WebSockets itself."""

    app: ASGIApp
    watches: bool = False
    pool: ConnectionPool | None = None


NOTHING = Behind(no_application)


def open_applications(settings: Settings, app: ASGIApp | None, stack: AsyncExitStack) -> list[Behind]:
    """What answers for each of `settings.applications`; clients of ours are closed with `stack`.

    `app` is an application in this process. It is the only one, or answers for those of a list that have no
    address. Raises OSError for an unreadable CA.
    """
    found = []
    for application in settings.applications:
        if app is not None and not (application.forwards and isinstance(settings.upstream, tuple)):
            found.append(Behind(app))
        elif application.forwards:
            upstream = make_upstream(settings, application)
            stack.push_async_callback(upstream.aclose)
            forwarding: ASGIApp = upstream
            if application.session_script:
                script = make_session_script(upstream, settings, application)
                stack.push_async_callback(script.aclose)
                forwarding = script
            found.append(Behind(forwarding, watches=True, pool=upstream.pool))
        else:
            found.append(NOTHING)
    return found


def make_applications(
    settings: Settings, behind: Sequence[Behind], read: Callable[[Path], str] = read_authorization
) -> Applications:
    """`behind` has one for each of `settings.applications`; `read` gives the secret values in files.

    Raises ValueError for a file that cannot be read or used.
    """
    places = []
    for written, one in zip(settings.applications, behind, strict=True):
        application = _make(settings, written, one, read)
        places += [Place(host, path, application) for host, path in settings.places(written)]
    return Applications(places)


def _scripted(app: ASGIApp, settings: Settings) -> Callable[[], bool] | None:
    """Pages without the script mean people whose activity nobody reports, until they would be idle anyway."""
    if not isinstance(app, SessionScript):
        return None
    return lambda: not app.absent_within(settings.session.idle_timeout)


def _authorization(written: UpstreamSettings, read: Callable[[Path], str]) -> Authorization | None:
    section = written.authorization
    if section == "pass":
        return None
    if section == "drop":
        return Authorization()
    choices = tuple(
        Choice(None if roles is None else frozenset(roles), read(path).encode("ascii"))
        for _, roles, path in section.files
    )
    return Authorization(choices, passes=section.otherwise == "pass", public=section.public)


def not_shown(path: Path) -> str:
    """What `explain` says in place of a secret value."""
    return f"(from {path})".encode("ascii", "replace").decode()


def _make(
    settings: Settings, written: UpstreamSettings, behind: Behind, read: Callable[[Path], str]
) -> Application:
    policy = make_policy_of(settings, written)
    return Application(
        name=written.name,
        policy=policy,
        leniency=Leniency.of(frozenset(written.allow_in_path), case_insensitive=written.case_insensitive),
        request_headers=RequestHeaders(
            identity_names=settings.identity.headers.values(),
            own_cookies=make_cookie_names(settings).all_spellings(),
            scheme=settings.public_scheme,
            drop_overrides=policy.uses_methods,
        ),
        app=behind.app,
        app_watches=behind.watches,
        audience=make_audience(settings, written),
        background_paths=tuple(
            compile_glob(path, case_insensitive=written.case_insensitive)
            for path in settings.session.background_paths
        ),
        authorization=_authorization(written, read),
        elsewhere=behind.app is NOTHING.app,
        logout_paths=tuple(
            compile_glob(path, case_insensitive=written.case_insensitive, trailing_slash=True)
            for path in written.logout_paths
        ),
        front=quote(settings.places(written)[0].path.removesuffix("/") + "/"),
        scripted=_scripted(behind.app, settings),
    )
