"""What the gate was told at start: immutable, replaced whole on reload."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from gatekeeper.core.cookies import CookieNames, cookie_value
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.policy import Policy
from gatekeeper.core.target import Leniency, Target, check_query, read_path

REMEMBERED = 1024
"""Bytes: longer paths and Cookie headers are read anew each time."""


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
    _read_path: Callable[[bytes], tuple[str, tuple[str, ...]]] = field(init=False, repr=False)
    _known_path: Callable[[bytes], tuple[str, tuple[str, ...]]] = field(init=False, repr=False)
    _read_cookie: Callable[[bytes], bytes | None] = field(init=False, repr=False)
    _known_cookie: Callable[[bytes], bytes | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Browsers ask for the same paths with the same cookies again and again: what was read once is
        # remembered, bounded in number and (REMEMBERED) in size. Refusals are exceptions and never are.
        mark = self.cookies.session.encode("ascii") + b"="
        read = partial(read_path, leniency=self.leniency)
        object.__setattr__(self, "_read_path", read)
        object.__setattr__(self, "_known_path", lru_cache(2048)(read))
        object.__setattr__(self, "_read_cookie", lambda header: cookie_value(header, mark))
        object.__setattr__(self, "_known_cookie", lru_cache(4096)(lambda header: cookie_value(header, mark)))

    def target(self, raw_path: bytes, query: bytes) -> Target:
        """Raises RequestRejected (see `core.target.parse_target`)."""
        check_query(query)
        path, readings = (self._known_path if len(raw_path) <= REMEMBERED else self._read_path)(raw_path)
        return Target(raw_path, query, path, readings)

    def session_cookie(self, header: bytes) -> bytes | None:
        """The value of our session cookie in a Cookie header."""
        return (self._known_cookie if len(header) <= REMEMBERED else self._read_cookie)(header)

    def counts_as_activity(self, path: str) -> bool:
        return not any(pattern.fullmatch(path) for pattern in self.background_paths)
