"""The composition root's part about pages: settings and services → the pages as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.accounts.welcome import Welcomes
from gatekeeper.audit.history import SignInHistory
from gatekeeper.build.federation import make_provider_services
from gatekeeper.build.passwords import make_step_policy
from gatekeeper.build.values import make_public_origins, make_timeouts
from gatekeeper.core.applications import Applications
from gatekeeper.core.clock import Clock
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.factors import qr
from gatekeeper.pages.app import make_pages
from gatekeeper.pages.services import Branding, PageServices, Slide
from gatekeeper.settings import Settings
from gatekeeper.settings.branding import BrandingSettings
from gatekeeper.settings.files import PICTURE_TYPES

if TYPE_CHECKING:
    from gatekeeper.build.services import Services


def make_branding(branding: BrandingSettings) -> Branding:
    """How the pages call and colour themselves. Raises OSError for an unreadable logo."""
    logo, logo_type = _picture(branding.logo_file)
    return Branding(
        product_name=branding.product_name,
        login_label=branding.login_label,
        sign_in_label=branding.sign_in_label,
        forgot_label=branding.forgot_label,
        show_password=branding.show_password,
        help_url=branding.help_url or "",
        logo=logo,
        logo_type=logo_type or "image/svg+xml",
        colors=branding.colors,
    )


def make_slides(settings: Settings) -> list[Slide]:
    """What welcomes people. Raises OSError for an unreadable picture."""
    return [Slide(slide.title, slide.text, *_picture(slide.image)) for slide in settings.welcome]


def make_page_app(
    settings: Settings,
    services: Services,
    clock: Clock,
    *,
    applications: Applications,
    secrets: list[str],
    cookies: CookieNames,
    report: Callable[[str, BaseException], None],
) -> ASGIApp:
    """Every page. Raises OSError for what cannot be read."""
    return make_pages(
        PageServices(
            sign_in=services.sign_in,
            sessions=services.sessions,
            tabs=services.sessions.tabs,
            admin_link=services.admin_link,
            second_factors=services.second_factors,
            passwords=services.password_changes,
            recovery=services.recovery,
            unlocks=services.unlock,
            invitations=services.invitations,
            kept_forms=services.kept_forms,
            welcomes=Welcomes(services.db, clock),
            history=SignInHistory(services.db),
            audit=services.audit,
            qr=qr.svg,
            secrets=secrets,
            cookies=cookies,
            public_origins=make_public_origins(settings),
            report=lambda error, request_id: report(request_id, error),
            clock=clock,
            timeouts=make_timeouts(settings),
            sso=make_provider_services(settings, services, clock),
            local_passwords=settings.password.sign_in,
            policy=make_step_policy(settings),
            remember_max=settings.session.remember_max if settings.session.remember_me else None,
            slides=make_slides(settings),
            branding=make_branding(settings.branding),
            own_brandings={
                application.name: make_branding(application.branding.over(settings.branding))
                for application in settings.applications
                if application.branding.model_fields_set
            },
            application_at=_application_at(applications),
            prefix=settings.prefix,
            password_min_length=settings.password.min_length,
            password_history=settings.password.history,
            templates_dir=settings.templates_dir,
        )
    )


def _application_at(applications: Applications) -> Callable[[str, bytes], str | None]:
    def application_at(host: str, raw_path: bytes) -> str | None:
        try:
            found = applications.find(host, raw_path).application
        except RequestRejected:  # nothing that anybody could be led to
            return None
        return None if found is None else found.name

    return application_at


def _picture(path: Path | None) -> tuple[bytes, str]:
    return (b"", "") if path is None else (path.read_bytes(), PICTURE_TYPES[path.suffix.lower()])
