"""Would an application's Content-Security-Policy let the session script run? CSP Level 3.

Judges a script of the page's own origin that the parser inserts, and its requests to that origin. In doubt
the answer is no: nothing in the application may break, or fill its log with violations, because of us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):")
_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_\-]+={0,2})'", re.IGNORECASE)
_HOST = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.\-]*)://)?"
    r"(?P<host>\*|(?:\*\.)?[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]+|\*))?(?P<path>/.*)?",
    re.IGNORECASE,
)
_META_IGNORES = frozenset(("sandbox", "frame-ancestors", "report-uri"))
_SCRIPT_SOURCES = ("script-src-elem", "script-src", "default-src")
_CONNECT_SOURCES = ("connect-src", "default-src")

Policy = dict[str, list[str]]
"""Directive → its values, of one policy."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the script is loaded from and what it asks, as browsers see them."""

    origin: str
    """`scheme://host[:port]` of the page, the script and its requests."""
    script: str
    """Path of the script, without a query."""
    endpoint: str
    """Path that the script asks, with others below it."""

    def at(self, host: str) -> Addresses:
        """The same for a page on another host (and port)."""
        scheme = self.origin.partition("://")[0]
        return Addresses(f"{scheme}://{host}", self.script, self.endpoint)


class Admission(NamedTuple):
    """Whether the script may run in a page."""

    nonce: str
    """What the script element must carry; "" for nothing."""
    refused_by: str
    """The directive that keeps it out; "" when it may run."""


def parse_policies(values: Iterable[str], *, meta: bool = False) -> list[Policy]:
    """The policies in Content-Security-Policy values; each may hold several, separated by commas.

    `meta` leaves out what a meta element cannot say. CSP3 sections 2.2.1, 2.2.2 and 3.3.
    """
    policies = []
    for text in (part for value in values for part in value.split(",")):
        policy: Policy = {}
        for directive in text.split(";"):
            name, *words = directive.split() or [""]
            name = name.lower()
            if name and name not in policy and not (meta and name in _META_IGNORES):
                policy[name] = words
        if policy:
            policies.append(policy)
    return policies


def admit(policies: Sequence[Policy], addresses: Addresses) -> Admission:
    """Judge all policies together: each of them must let the script run and ask.

    Its style takes no permission (a constructed sheet), nor do trusted types (it uses no text as code).
    """
    nonces: list[set[str]] = []
    ordered: list[str] = []
    for policy in policies:
        words = policy.get("sandbox")
        if words is not None and not {"allow-scripts", "allow-same-origin"} <= {w.lower() for w in words}:
            return Admission("", "sandbox")
        name, sources = _first(policy, _CONNECT_SOURCES)
        if sources is not None and not _lists(sources, addresses.origin, addresses.endpoint, below=True):
            return Admission("", name)
        name, sources = _first(policy, _SCRIPT_SOURCES)
        if sources is None:
            continue
        strict = any(source.lower() == "'strict-dynamic'" for source in sources)
        if not strict and _lists(sources, addresses.origin, addresses.script):
            continue
        offered = [found[1] for source in sources if (found := _NONCE.fullmatch(source))]
        if not offered:
            return Admission("", name)
        ordered = ordered or offered
        nonces.append(set(offered))
    if not nonces:
        return Admission("", "")
    shared = set.intersection(*nonces)
    nonce = next((nonce for nonce in ordered if nonce in shared), "")
    return Admission(nonce, "" if nonce else "script-src")


def _first(policy: Policy, names: Iterable[str]) -> tuple[str, list[str] | None]:
    for name in names:
        if name in policy:
            return name, policy[name]
    return "", None


def _lists(sources: Iterable[str], origin: str, path: str, *, below: bool = False) -> bool:
    """Whether a source list names this address. CSP3 section 6.7.2.7.

    `below`: also every address below the path is meant.
    """
    parts = urlsplit(origin)
    return any(
        _matches(source, parts.scheme, parts.hostname or "", parts.port, path, below) for source in sources
    )


def _matches(source: str, scheme: str, host: str, port: int | None, path: str, below: bool) -> bool:
    lowered = source.lower()
    if lowered == "'self'" or source == "*":
        return True
    named = _SCHEME.fullmatch(lowered)
    if named is not None:
        return _scheme_covers(named[1], scheme)
    found = _HOST.fullmatch(source)
    if found is None:
        return False
    wanted_scheme = (found["scheme"] or "").lower()
    if wanted_scheme and not _scheme_covers(wanted_scheme, scheme):
        return False
    wanted = found["host"].lower().removesuffix(".").strip("[]")
    if wanted.startswith("*."):
        if not host.endswith(wanted[1:]):
            return False
    elif wanted not in ("*", host):
        return False
    own = port or _DEFAULT_PORTS[scheme]
    if found["port"] is None:
        if own != _DEFAULT_PORTS[scheme]:
            return False
    elif found["port"] != "*" and int(found["port"]) != own and not (found["port"] == "80" and own == 443):
        return False
    return _path_covers(found["path"] or "", path, below)


def _scheme_covers(wanted: str, scheme: str) -> bool:
    """http covers https, CSP3 section 6.7.2.9."""
    return wanted == scheme or (wanted == "http" and scheme == "https")


def _path_covers(wanted: str, path: str, below: bool) -> bool:
    """CSP3 section 6.7.2.12: a path that ends with a slash is a folder, another is one file."""
    if wanted in ("", "/"):
        return True
    if wanted.endswith("/"):
        return path.startswith(wanted)
    return wanted == path and not below
