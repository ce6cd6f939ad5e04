"""What the gate was told at start: immutable, replaced whole on reload."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.policy import Policy
from gatekeeper.core.target import Leniency


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Settings of one gate, precomputed for the hot path."""

    prefix: str
    scheme: str
    """Of the public URL: what the person's browser speaks, whoever ends TLS."""
    hosts: OurHosts
    public_origins: frozenset[str]
    """Whose scripts may open a WebSocket."""
    proxies: TrustedProxies
    policy: Policy
    leniency: Leniency
    cookies: CookieNames
    request_headers: RequestHeaders
    background_paths: tuple[re.Pattern[str], ...] = ()
    """Requests to them are no activity of a person."""

    def counts_as_activity(self, path: str) -> bool:
        return not any(pattern.fullmatch(path) for pattern in self.background_paths)
