"""What the pages are given: narrow views of the services, and the values of the configuration."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gatekeeper.audit.events import EventKind, Source
from gatekeeper.audit.history import HistoryEvent
from gatekeeper.core.clock import Clock
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.session import EndReason, Session, SessionRecord, Timeouts, UserRecord
from gatekeeper.core.steps import StepPolicy
from gatekeeper.pages.i18n import ENGLISH, Locale
from gatekeeper.pages.session_services import Tabs
from gatekeeper.pages.sso_services import NO_PROVIDERS, ProviderServices


class PasswordSignIn(Protocol):
    """`accounts.sign_in.SignIn`: raises InvalidCredentials, RateLimited, Overloaded, StoreUnavailable."""

    async def password(
        self, login: str, password: str, *, device: str | None, client: str, request_id: str
    ) -> UserRecord: ...

    async def completed(
        self, session: Session, *, device: str | None, client: str, user_agent: str, request_id: str
    ) -> str:
        """Every step is done: counts are set back; the cookie by which this browser is known from now on."""

    async def locked(self, user_id: int, device: str | None) -> bool:
        """Whether the account is locked for this browser, so that a half-finished sign-in must stop."""


class Sessions(Protocol):
    """`sessions.manager.SessionManager`, as much of it as the pages need. Raises StoreUnavailable."""

    async def start(
        self,
        user_id: int,
        *,
        methods: str,
        remembered: bool,
        client: str,
        user_agent: str,
        second_factor_at: float = 0.0,
    ) -> tuple[Session, str]: ...

    async def step_up(
        self, session: Session, *, method: str = "", second_factor: bool = False
    ) -> tuple[Session, str]:
        """The same session under a new id, and its cookie. Raises SessionOver."""

    async def skip(self, session: Session, step: str) -> Session:
        """Note that the person chose to skip `step`. Raises SessionOver."""

    def touch(self, session: Session, now: float) -> None:
        """The person was active at `now`."""

    async def refresh(self, session: Session) -> Session:
        """Session, account and step as they are right now. Raises SessionOver."""

    async def end(self, session: Session, reason: EndReason) -> Any: ...

    async def end_listed(self, user_id: int, public_id: str, reason: EndReason) -> Any: ...

    async def end_user(self, user_id: int, reason: EndReason, *, keep: bytes | None = None) -> Any: ...

    async def list(self, user_id: int | None = None) -> builtins.list[SessionRecord]:
        """The latest first, without half-finished ones."""


class Setup(Protocol):
    """`accounts.second_factor.TotpSetup`."""

    @property
    def uri(self) -> str:
        """otpauth://…"""

    @property
    def account(self) -> str:
        """How the authenticator app will call it."""

    @property
    def groups(self) -> str:
        """The secret in groups of four."""


class SecondFactors(Protocol):
    """`accounts.second_factor.SecondFactors`: raises InvalidCode, RateLimited, StoreUnavailable."""

    async def begin(self, user: UserRecord, *, session: bytes) -> Setup:
        """Another one in every session, by its key."""

    async def confirm(self, user: UserRecord, code: str, *, by: Source, session: bytes) -> Sequence[str]:
        """What was shown in the session with this key; all other sessions end."""

    async def verify(
        self, user: UserRecord, code: str, *, device: str | None, client: str, request_id: str
    ) -> str: ...

    async def new_recovery_codes(self, user: UserRecord, by: Source) -> Sequence[str]: ...

    async def recovery_codes_left(self, user_id: int) -> int: ...

    async def remove(self, user: UserRecord, by: Source, *, keep: bytes | None) -> Any:
        """All sessions end but the one with the key `keep`."""

    @property
    def trust_for(self) -> float | None:
        """Seconds for which a browser may be trusted instead of a code; None: that is not offered."""

    async def trust(self, user: UserRecord, device: str | None, *, by: Source | None = None) -> Any: ...

    async def trusted(self, user: UserRecord, device: str | None) -> bool: ...


class PasswordChanges(Protocol):
    """`accounts.password_change.PasswordChanges`: raises AccountError, InvalidCredentials, RateLimited, …"""

    def least(self, user: UserRecord) -> int:
        """The fewest characters of a new password of `user`."""

    async def change(
        self,
        user: UserRecord,
        new: str,
        *,
        current: str | None,
        by: Source,
        keep: bytes | None,
        device: str | None,
    ) -> Any: ...


class Recovery(Protocol):
    """`accounts.recovery.Recovery`: raises AccountError, RateLimited, Overloaded, StoreUnavailable."""

    @property
    def enabled(self) -> bool:
        """Whether anything can be mailed; without it nobody is offered a recovery mail."""

    def least(self, user: UserRecord) -> int: ...

    async def request(self, login: str, *, client: str, request_id: str) -> None: ...

    async def peek(self, token: str) -> UserRecord | None: ...

    async def reset(self, token: str, new: str, *, client: str, request_id: str) -> UserRecord: ...


class Unlocks(Protocol):
    """`accounts.unlock.Unlock`."""

    async def peek(self, token: str) -> UserRecord | None: ...

    async def unlock(self, token: str, *, client: str, request_id: str) -> UserRecord | None: ...


class Invitations(Protocol):
    """`accounts.invitations.Invitations`."""

    async def peek(self, token: str) -> UserRecord | None: ...

    def least(self, user: UserRecord) -> int: ...

    async def needs_password(self, token: str) -> bool: ...

    async def accept(self, token: str, *, client: str, request_id: str) -> UserRecord | None: ...

    async def set_password(self, token: str, new: str, *, client: str, request_id: str) -> UserRecord: ...


class Welcomes(Protocol):
    """`accounts.welcome.Welcomes`."""

    async def seen(self, user_id: int) -> None: ...


class History(Protocol):
    """`audit.history.SignInHistory`."""

    async def of(self, user_id: int, limit: int) -> Sequence[HistoryEvent]: ...


class AdministratorLinkService(Protocol):
    """`accounts.admin_link.AdministratorLink`: raises AccountError, Overloaded, StoreUnavailable."""

    async def open(self) -> bool:
        """Whether there is a link that could be redeemed."""

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


class KeptForm(Protocol):
    """`accounts.kept_forms.Summary`."""

    @property
    def key(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def target(self) -> bytes: ...

    @property
    def names(self) -> builtins.list[str]: ...

    @property
    def size(self) -> int: ...

    @property
    def kept_at(self) -> float: ...


class KeptForms(Protocol):
    """`accounts.kept_forms.KeptForms`. Raises StoreUnavailable."""

    async def list(self, user_id: int, browser: str | None) -> Sequence[KeptForm]:
        """The oldest first."""

    async def discard(self, key: str, user_id: int) -> None: ...


class Slide(NamedTuple):
    """One of the pictures and texts that welcome somebody."""

    title: str
    text: str
    image: bytes = b""
    image_type: str = ""


@dataclass(frozen=True, slots=True)
class Branding:
    """How the pages call and colour themselves; checked for contrast by the settings."""

    product_name: str = "Back office"
    login_label: str = ""
    """The operator's word for the login field; "" means the translated "User login"."""
    sign_in_label: str = ""
    """On the sign-in page's button and as its heading; "" means the translated "Sign in"."""
    forgot_label: str = ""
    """The link to the recovery page; "" means the translated "Forgot password?"."""
    show_password: str = "button"  # noqa: S105 - a word of the configuration
    """"button" or "checkbox": how a typed password is made visible."""
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
    sessions: Sessions
    tabs: Tabs
    admin_link: AdministratorLinkService
    second_factors: SecondFactors
    passwords: PasswordChanges
    recovery: Recovery
    unlocks: Unlocks
    invitations: Invitations
    welcomes: Welcomes
    history: History
    audit: Audit
    qr: Callable[[str], str]
    """An inline SVG of a text as a QR code."""
    secrets: Sequence[str]
    """At least one; the first signs, all verify."""
    cookies: CookieNames
    public_origins: Sequence[str]
    """`https://host[:port]`, lower case; the first is where links lead. Forms from elsewhere are refused."""
    report: Callable[[BaseException, str], None]
    """Logs an unexpected exception, or the cause of a 503 (`Undecidable`), with the request's id."""
    clock: Clock
    sso: ProviderServices = NO_PROVIDERS
    """Identity providers that people may sign in with."""
    local_passwords: bool = True
    """False when people sign in at identity providers alone: nothing about passwords is shown or accepted."""
    kept_forms: KeptForms | None = None
    """None: none are kept, and there is no page for them."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    policy: StepPolicy = field(default_factory=StepPolicy)
    """What makes `Session.step`, for saying why a step is asked for."""
    remember_max: float | None = None
    """Seconds that a remembered session lasts at most; None when nobody is offered "Remember me"."""
    slides: Sequence[Slide] = ()
    branding: Branding = Branding()
    own_brandings: Mapping[str, Branding] = field(default_factory=dict)
    """Those of applications that differ, by their names."""
    application_at: Callable[[str, bytes], str | None] = lambda _host, _path: None
    """The name of the application that has a path (percent-encoded) on a host; None: nobody has."""
    prefix: str = "/_gate"
    password_min_length: int = 12
    password_history: int = 5
    """How many of the latest passwords may not be chosen again."""
    locale: Locale = ENGLISH
    templates_dir: Path | None = None
    """Files in here are taken instead of Gatekeeper's own of the same name."""
