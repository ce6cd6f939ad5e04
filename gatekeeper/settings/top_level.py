"""The keys at the top level of the configuration: one field for each, and what it may not be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WrapValidator,
    field_validator,
)

from gatekeeper.settings.addresses import (
    Network,
    check_postgresql,
    is_server,
    parse_database,
    parse_host_port,
    parse_listen,
    parse_network,
    parse_public_url,
    too_wide,
)
from gatekeeper.settings.applications import (
    Upstreams,
    check_rules,
    check_upstreams,
    one_or_several,
)
from gatekeeper.settings.base import FilePath, Misfit, OneOrMany, Section
from gatekeeper.settings.branding import BrandingSettings
from gatekeeper.settings.identity import IdentitySettings
from gatekeeper.settings.lockout import LockoutSettings, RateLimitsSettings
from gatekeeper.settings.mail import MailSettings
from gatekeeper.settings.names import check_prefix
from gatekeeper.settings.password import PasswordSettings
from gatekeeper.settings.providers import MicrosoftSettings, OidcSettings, unique_names
from gatekeeper.settings.rules import Rule
from gatekeeper.settings.server import LimitsSettings, LogSettings, MetricsSettings, TlsSettings
from gatekeeper.settings.session import SessionSettings
from gatekeeper.settings.two_factor import TwoFactorSettings
from gatekeeper.settings.units import duration
from gatekeeper.settings.upstream import UpstreamSettings
from gatekeeper.settings.welcome import Slide


def _proxy(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be an address, a network or `unix`")  # a number would be taken for an address
    return value if value == "unix" else parse_network(value)


ListenAddress = Annotated[str, AfterValidator(parse_listen)]
Proxy = Annotated[Network | Literal["unix"], BeforeValidator(_proxy, json_schema_input_type=str)]


class TopLevel(Section):
    """Everything an operator can say."""

    allow_insecure_public_url: StrictBool = False
    """Accept a `public_url` that begins with http:// although it is not this machine: passwords and session
    cookies then travel readable for everybody on the way."""

    allow_any_proxy: StrictBool = False
    """Accept `trusted_proxies` that include nearly every address: then anybody can forge client addresses."""

    public_url: Annotated[str, AfterValidator(parse_public_url)]
    """The address in people's browsers, `https://host[:port]`. Requests for other hosts are answered 421."""

    tls: TlsSettings | None = None
    """Certificate and key, when Gatekeeper itself serves https."""

    listen: Annotated[tuple[ListenAddress, ...], Field(min_length=1), OneOrMany] = ("127.0.0.1:8080",)
    """Where connections are accepted: `host:port` or `unix:/path.sock`, one or a list."""

    trusted_proxies: Annotated[tuple[Proxy, ...], OneOrMany] = ()
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Host are believed; `unix` for
    whoever comes through a unix socket."""

    upstream: Annotated[
        UpstreamSettings | tuple[UpstreamSettings, ...] | None, WrapValidator(one_or_several)
    ] = None
    """The application to protect, or a list of several, each with its `name`. `none` where another proxy
    carries the traffic and asks (forward auth). Left out only where Gatekeeper is a part of a Python
    application."""

    prefix: Annotated[str, AfterValidator(check_prefix)] = "/_gate"
    """The path under which Gatekeeper's own pages are; the application's there cannot be reached."""

    data_dir: Annotated[FilePath, Field(validate_default=True)] = Path("data")
    """Gatekeeper's own folder: the generated secret and the embedded database."""

    database: Annotated[str, Field(validate_default=True)] = ""
    """`sqlite:///path`, or `postgresql+psycopg://user@host/database` for several nodes. Left out:
    gatekeeper.db in `data_dir`."""

    database_password: SecretStr | None = None
    """The password of PostgreSQL's user. The file that holds it must be readable by Gatekeeper alone."""

    database_password_file: FilePath | None = None
    """A file with the password, instead of `database_password`."""

    secret: Annotated[tuple[SecretStr, ...], OneOrMany] = ()
    """Signs cookies: at least 32 random characters, one or a list (the first signs, all verify). Left out:
    made by itself and kept in `data_dir`. The file that holds it must be readable by Gatekeeper alone."""

    secret_file: Annotated[tuple[FilePath, ...], OneOrMany] = ()
    """Files with one secret each, instead of `secret`."""

    session: SessionSettings = SessionSettings()
    """How long a sign-in lasts, and its cookie."""

    microsoft: MicrosoftSettings | None = None
    """Sign-in with Microsoft Entra ID, beside the local accounts."""

    oidc: tuple[OidcSettings, ...] = ()
    """Sign-in with OpenID Connect providers, beside the local accounts."""

    password: PasswordSettings = PasswordSettings()
    """Rules for passwords, and when they must change."""

    two_factor: TwoFactorSettings = TwoFactorSettings()
    """Who proves a second factor, and how often."""

    lockout: LockoutSettings = LockoutSettings()
    """When wrong passwords and codes lock an account."""

    rate_limits: RateLimitsSettings = RateLimitsSettings()
    """How often something may be tried."""

    rules: tuple[Rule, ...] = ()
    """Who may do what. The first rule that matches decides; what none matches needs a sign-in."""

    identity: IdentitySettings = IdentitySettings()
    """The headers in which the application learns who is asking."""

    branding: BrandingSettings = BrandingSettings()
    """What the sign-in pages say and look like."""

    welcome: Annotated[tuple[Slide, ...], Field(max_length=20)] = ()
    """Pages that welcome each person once, after the first sign-in. They can be skipped."""

    templates_dir: FilePath | None = None
    """A folder whose templates take the place of Gatekeeper's own of the same name."""

    mail: MailSettings | None = None
    """Who mails come from and how they leave. Without it there are no invitations and no recovery by mail."""

    limits: LimitsSettings = LimitsSettings()
    """What a client may cost."""

    processes: Annotated[StrictInt, Field(ge=1, le=64)] | Literal["auto"] = 1
    """Worker processes. `auto`: one for each processor that may be used."""

    drain_timeout: Annotated[float, duration("1s", "1h")] = 20.0
    """How long requests under way may take once a process is to stop, or is replaced at a reload."""

    metrics: MetricsSettings | None = None
    """A listener of its own for Prometheus and health checks. Without it nothing is counted."""

    log: LogSettings = LogSettings()
    """What is logged, and how."""

    @field_validator("public_url")
    @classmethod
    def _no_readable_passwords(cls, value: str, info: ValidationInfo) -> str:
        place = parse_host_port(urlsplit(value).netloc)
        if (
            value.startswith("http:")
            and not place.loopback
            and not info.data.get("allow_insecure_public_url")
        ):
            raise ValueError(
                "plain http sends passwords readable for everybody on the way; "
                f"did you mean https://{place.host}? (allow_insecure_public_url: true accepts it)"
            )
        return value

    @field_validator("tls")
    @classmethod
    def _tls_is_https(cls, value: TlsSettings | None, info: ValidationInfo) -> TlsSettings | None:
        public_url = info.data.get("public_url", "https:")
        if value is not None and public_url.startswith("http:"):
            raise ValueError("is given, but public_url begins with http://; did you mean https://?")
        return value

    @field_validator("listen")
    @classmethod
    def _listen_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for index, address in enumerate(value):
            if address in value[:index] and not address.endswith(":0"):
                raise Misfit((index,), f"{address} is in the list twice")
        return value

    @field_validator("metrics")
    @classmethod
    def _apart(cls, value: MetricsSettings | None, info: ValidationInfo) -> MetricsSettings | None:
        if value is not None and value.listen in info.data.get("listen", ()):
            raise Misfit(("listen",), f"{value.listen} is where people come in: metrics need their own")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _not_everybody(cls, value: tuple[Proxy, ...], info: ValidationInfo) -> tuple[Proxy, ...]:
        wide = too_wide(proxy for proxy in value if proxy != "unix")
        if wide is not None and not info.data.get("allow_any_proxy"):
            raise ValueError(
                f"{wide} is wider than any private network: anybody could forge client addresses; "
                "list your proxies alone (allow_any_proxy: true accepts it)"
            )
        return value

    @field_validator("upstream")
    @classmethod
    def _not_ourselves(cls, value: Upstreams, info: ValidationInfo) -> Upstreams:
        check_upstreams(value, info.data)
        return value

    @field_validator("database")
    @classmethod
    def _database_place(cls, value: str, info: ValidationInfo) -> str:
        if is_server(value):
            return check_postgresql(value)
        if value:
            path = (info.context or {}).get("base", Path.cwd()) / parse_database(value)
        else:
            path = info.data.get("data_dir", Path()) / "gatekeeper.db"
        return f"sqlite+aiosqlite:///{path}"

    @field_validator("database_password", "database_password_file")
    @classmethod
    def _password_of_a_server(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not is_server(info.data.get("database", "postgresql+psycopg://")):
            raise ValueError("is given, but database is a file, which has none")
        if value is not None and info.data.get("database_password") is not None:
            raise ValueError("is given as well as database_password: keep one of the two")
        return value

    @field_validator("secret_file")
    @classmethod
    def _secret_once(cls, value: tuple[FilePath, ...], info: ValidationInfo) -> tuple[FilePath, ...]:
        if value and info.data.get("secret"):
            raise ValueError("is given as well as secret: keep one of the two")
        return value

    @field_validator("oidc")
    @classmethod
    def _providers_once(cls, value: tuple[OidcSettings, ...]) -> tuple[OidcSettings, ...]:
        return unique_names(value)

    @field_validator("password")
    @classmethod
    def _some_way_in(cls, value: PasswordSettings, info: ValidationInfo) -> PasswordSettings:
        if not value.sign_in and not info.data.get("microsoft") and not info.data.get("oidc"):
            raise Misfit(("sign_in",), "false leaves no way in: configure microsoft or oidc")
        return value

    @field_validator("rules")
    @classmethod
    def _reachable(cls, value: tuple[Rule, ...], info: ValidationInfo) -> tuple[Rule, ...]:
        check_rules(value, info.data.get("upstream"), info.data.get("two_factor"))
        return value
