"""What the pages are given: narrow views of the services, and the values of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gatekeeper.audit.events import EventKind
from gatekeeper.core.clock import Clock
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.session import EndReason, Session, UserRecord
from gatekeeper.pages.i18n import ENGLISH, Locale


class PasswordSignIn(Protocol):
    """`accounts.sign_in.SignIn`: raises InvalidCredentials, Overloaded, StoreUnavailable."""

    async def password(self, login: str, password: str, *, client: str, request_id: str) -> UserRecord: ...


class SessionStarter(Protocol):
    """`sessions.manager.SessionManager`, as much of it as the pages need. Raises StoreUnavailable."""

    async def start(
        self, user_id: int, *, methods: str, remembered: bool, client: str, user_agent: str
    ) -> tuple[Session, str]: ...

    async def end(self, session: Session, reason: EndReason) -> Any: ...


class AdministratorLinkService(Protocol):
    """`accounts.admin_link.AdministratorLink`: raises AccountError, Overloaded, StoreUnavailable."""

    async def redeem(
        self,
        token: str,
        login: str,
        name: str,
        email: str,
        password: str,
        *,
        client: str = "",
        request_id: str = "",
    ) -> UserRecord: ...


class Audit(Protocol):
    """`audit.log.AuditLog`: one row and one line for each event. Raises StoreUnavailable."""

    async def record(
        self,
        kind: EventKind,
        *,
        user_id: int | None = None,
        login: str = "",
        actor: str = "",
        client: str = "",
        request_id: str = "",
        details: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Branding:
    """How the pages call and colour themselves; checked for contrast by the settings."""

    product_name: str = "Back office"
    login_label: str = ""
    """The operator's word for the login field; "" means the translated "User login"."""
    help_url: str = ""
    logo: bytes = b""
    """An operator's own logo; b"" means Gatekeeper's."""
    logo_type: str = "image/svg+xml"
    colors: Mapping[str, str] = field(default_factory=dict)
    """`#rrggbb` by role: brand, brand_hover, on_brand, and the same with `dark_` before it."""


@dataclass(frozen=True, slots=True)
class PageServices:
    """Everything that `make_pages` needs."""

    sign_in: PasswordSignIn
    sessions: SessionStarter
    admin_link: AdministratorLinkService
    audit: Audit
    secrets: Sequence[str]
    """At least one; the first signs, all verify."""
    cookies: CookieNames
    public_origins: Sequence[str]
    """`https://host[:port]`, lower case; the first is where links lead. Forms from elsewhere are refused."""
    report: Callable[[BaseException, str], None]
    """Logs an unexpected exception with the request's id."""
    clock: Clock
    branding: Branding = Branding()
    prefix: str = "/_gate"
    password_min_length: int = 12
    locale: Locale = ENGLISH
    templates_dir: Path | None = None
    """Files in here are taken instead of Gatekeeper's own of the same name."""
