"""What the gate was told at start: immutable, replaced whole on reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from gatekeeper.core.applications import Application, Applications, Found
from gatekeeper.core.cookies import CookieNames, cookie_value
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.session import Timeouts
from gatekeeper.core.target import Target, check_query

REMEMBERED = 1024
"""Bytes: longer paths and Cookie headers are read anew each time."""


_LASTING = Timeouts()


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Settings of one gate, precomputed for the hot path."""

    prefix: str
    scheme: str
    """Of the public URL: what the person's browser speaks, whoever ends TLS."""
    hosts: OurHosts
    public_origins: frozenset[str]
    """Where browsers reach us, one for each host; the pages of each may do only what concerns that one."""
    proxies: TrustedProxies
    cookies: CookieNames
    applications: Applications
    timeouts: Timeouts = _LASTING
    _known_path: Callable[[str, bytes], Found] = field(init=False, repr=False)
    _read_cookie: Callable[[bytes], bytes | None] = field(init=False, repr=False)
    _known_cookie: Callable[[bytes], bytes | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Browsers ask for the same paths with the same cookies again and again: what was read once is
        # remembered, bounded in number and (REMEMBERED) in size. Refusals are exceptions and never are.
        mark = self.cookies.session.encode("ascii") + b"="
        object.__setattr__(self, "_known_path", lru_cache(2048)(self.applications.find))
        object.__setattr__(self, "_read_cookie", lambda header: cookie_value(header, mark))
        object.__setattr__(self, "_known_cookie", lru_cache(4096)(lambda header: cookie_value(header, mark)))

    def target(self, host: str, raw_path: bytes, query: bytes) -> tuple[Target, Application | None]:
        """What was asked for, and the application whose it is; None: nobody's.

        Raises RequestRejected (see `core.target.parse_target` and `core.applications`).
        """
        check_query(query)
        find = self._known_path if len(raw_path) <= REMEMBERED else self.applications.find
        path, readings, application = find(host, raw_path)
        return Target(raw_path, query, path, readings), application

    def own_origin(self, host: str) -> str:
        """The origin of pages on `host`, one of ours."""
        return f"{self.scheme}://{host}"

    def session_cookie(self, header: bytes) -> bytes | None:
        """The value of our session cookie in a Cookie header."""
        return (self._known_cookie if len(header) <= REMEMBERED else self._read_cookie)(header)
