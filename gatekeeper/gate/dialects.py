"""How each proxy describes the request that it asks about: header names, and reading them into facts.

Nothing here decides whether the asker is believed: `gate.forward_auth` does, before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from gatekeeper.core.applications import Application
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.hosts import TrustedProxies, parse_hop
from gatekeeper.core.kinds import judge_kind
from gatekeeper.gate.config import GateConfig


class Dialect(NamedTuple):
    """One proxy's way to ask. Header names are in lower case."""

    name: str
    method: bytes = b"x-forwarded-method"
    scheme: bytes = b"x-forwarded-proto"
    host: bytes = b"x-forwarded-host"
    uri: bytes = b"x-forwarded-uri"
    in_place: bool = False
    """Method, host and target are those of the question itself, whose path begins with the endpoint's."""
    relays: bool = True
    """The proxy hands a refusal on to the browser as it is; otherwise it looks at the status alone."""
    cached: bool = False
    """The proxy may keep a positive answer for a second, when it says so."""
    fills: bool = False
    """The proxy writes a placeholder for a header that the answer lacks: each is there, perhaps empty."""
    removes: bool = False
    """The proxy keeps the client's copy of a header that the answer lacks, unless told to remove it."""


DIALECTS = (
    Dialect(
        "nginx",
        method=b"x-original-method",
        scheme=b"x-original-scheme",
        host=b"x-original-host",
        uri=b"x-original-uri",
        relays=False,
        cached=True,
    ),
    Dialect("traefik"),
    Dialect("caddy", fills=True),
    Dialect("haproxy"),
    Dialect("envoy", host=b"host", in_place=True, removes=True),
)

_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_SCHEMES = {b"https": "https", b"http": "http", b"wss": "https", b"ws": "http"}  # Traefik writes the latter

_METHOD, _SCHEME, _HOST, _URI, _CHAIN = range(5)
_COOKIE, _MODE, _DEST, _ACCEPT, _XHR, _PURPOSE, _SOCKET = range(5, 12)
_NONE = (None,) * 12
_OF_THE_BROWSER = {
    b"x-forwarded-for": _CHAIN,
    b"cookie": _COOKIE,
    b"sec-fetch-mode": _MODE,
    b"sec-fetch-dest": _DEST,
    b"accept": _ACCEPT,
    b"x-requested-with": _XHR,
    b"sec-purpose": _PURPOSE,
    b"purpose": _PURPOSE,
    b"sec-websocket-key": _SOCKET,
    b"sec-websocket-version": _SOCKET,
}


class QuestionReader:
    """Reads the questions of one dialect, in one pass over their headers."""

    def __init__(self, dialect: Dialect, config: GateConfig) -> None:
        self._dialect = dialect
        self._config = config
        own = {dialect.scheme: _SCHEME, dialect.host: _HOST}
        if not dialect.in_place:
            own |= {dialect.method: _METHOD, dialect.uri: _URI}
        self._wanted: Mapping[bytes, int] = _OF_THE_BROWSER | own
        self._endpoint = len(f"{config.prefix}/auth/{dialect.name}")
        self._client = lru_cache(4096)(lambda peer, chain: _client(config.proxies, peer, chain))

    def read(
        self,
        peer: str,
        asked_method: str,
        asked_path: bytes,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> tuple[Facts, bytes | None, bytes, Application | None]:
        """The facts of the request asked about, the value of our session cookie, all its cookies, and
        whose the page is.

        The arguments are the question's own: who asks ("" on a unix socket), method, raw path, query and
        headers. Raises RequestRejected: `question_…` when the proxy does not say what it must, else as
        `read_facts`.
        """
        config, dialect = self._config, self._dialect
        found: list[bytes | None] = [*_NONE]
        wanted = self._wanted.get
        for name, value in headers:
            index = wanted(name)
            if index is not None:
                before = found[index]
                if before is None:
                    found[index] = value
                elif index < _CHAIN:
                    raise RequestRejected(400, "question_twice", name.decode("latin-1"))
                else:
                    found[index] = before + (b";" if index == _COOKIE else b",") + value
        asked, scheme_said, host_said, uri, chain, cookies, mode, dest, accept, xhr, purpose, socket = found
        if dialect.in_place:
            asked, raw_path, uri = b"GET", asked_path[self._endpoint :], b"/"
        if not (asked and scheme_said and host_said and uri and chain):
            raise self._incomplete(found)
        if dialect.in_place:
            method = asked_method
        else:
            method = _METHODS.get(asked) or asked.decode("latin-1")
            raw_path, _, query = uri.partition(b"?")
        scheme = _SCHEMES.get(scheme_said)
        if scheme is None:
            raise RequestRejected(400, "question_scheme")
        host = config.hosts.find(host_said)
        if host is None:
            raise RequestRejected(421, "foreign_host")
        client = self._client(peer, chain)
        kind = Kind.WEBSOCKET
        if socket is None or method != "GET":
            kind = judge_kind(mode, dest, accept, xhr, purpose)
        target, application = config.target(host, raw_path, query)
        facts = Facts(method, scheme, host, target, client, kind)
        if cookies is None:
            return facts, None, b"", application
        return facts, config.session_cookie(cookies), cookies, application

    def _incomplete(self, found: list[bytes | None]) -> RequestRejected:
        """What is left out first."""
        dialect = self._dialect
        wanted = (dialect.method, dialect.scheme, dialect.host, dialect.uri, b"x-forwarded-for")
        left_out = (
            name
            for index, name in enumerate(wanted)
            if not found[index] and not (dialect.in_place and index in (_METHOD, _URI))
        )
        return RequestRejected(400, "question_incomplete", next(left_out).decode("ascii"))


def _client(proxies: TrustedProxies, peer: str, chain: bytes) -> str:
    """The client that the proxy speaks of; "" when it has no address (a unix socket at the proxy)."""
    if parse_hop(chain.rpartition(b",")[2].decode("latin-1").strip()) is None:
        return ""
    return proxies.client(peer, (chain,))
