"""`tls`, `limits` and `log`: the process itself."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from gatekeeper.settings.addresses import parse_host_port, parse_listen
from gatekeeper.settings.base import FilePath, Misfit, Section
from gatekeeper.settings.units import size


class TlsSettings(Section):
    """Serving https without another server in front. Both files or none."""

    cert_file: FilePath
    """The certificate and those between it and its authority (PEM)."""

    key_file: FilePath
    """Its private key (PEM, no passphrase), readable by Gatekeeper alone."""


class LimitsSettings(Section):
    """What a client may cost."""

    request_body: Annotated[int, size("1KB", "10TB")] = 2_000_000_000
    """The largest body that is passed on to the application; a larger one is answered 413."""

    connections: Annotated[StrictInt, Field(ge=10, le=1_000_000)] = 10_000
    """Connections at the same time, a WebSocket counting twice; one more is answered 503."""

    connections_per_client: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 512
    """The same from one address (IPv6: one /64), trusted proxies excepted; one more is answered 429."""


class MetricsSettings(Section):
    """Where monitoring systems ask."""

    listen: Annotated[str, AfterValidator(parse_listen)]
    """`host:port` or `unix:/path.sock`, for /metrics, /healthz and /readyz; nobody is asked who they are."""

    allow_public: StrictBool = False
    """Accept an address that others than this machine and its private networks may reach."""

    @model_validator(mode="after")
    def _private(self) -> MetricsSettings:
        if not self.allow_public and not self.listen.startswith("unix:") and not _private(self.listen):
            raise Misfit(
                ("listen",),
                f"{self.listen} may be reached from outside: anybody could read how many people sign in; "
                "use 127.0.0.1 or a private address (allow_public: true accepts it)",
            )
        return self


def _private(listen: str) -> bool:
    place = parse_host_port(listen)
    if place.loopback:
        return True
    try:
        address = ip_address(place.host.strip("[]"))
    except ValueError:
        return False  # a name may lead anywhere
    return address.is_private and not address.is_unspecified


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important that is logged."""

    format: Literal["auto", "json", "console"] = "auto"
    """`json` lines, `console` for people, `auto`: console on a terminal."""
