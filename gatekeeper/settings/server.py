"""`tls`, `limits` and `log`: the process itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from gatekeeper.settings.base import FilePath, Section
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


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important that is logged."""

    format: Literal["auto", "json", "console"] = "auto"
    """`json` lines, `console` for people, `auto`: console on a terminal."""
