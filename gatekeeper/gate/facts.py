"""Reading an ASGI scope into facts, once."""

from __future__ import annotations

from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.kinds import kind_of
from gatekeeper.core.protocols import Scope
from gatekeeper.core.target import parse_target
from gatekeeper.gate.config import GateConfig


def read_facts(scope: Scope, config: GateConfig) -> Facts:
    """Raises RequestRejected: 400 for a target or Host that can be read two ways, 421 for a foreign Host."""
    headers = scope["headers"]
    websocket = scope["type"] == "websocket"
    method = "GET" if websocket else scope["method"]
    raw_path = scope.get("raw_path")
    if raw_path is None:  # optional in ASGI; without the raw bytes nothing safe can be said
        raise RequestRejected(400, "path_form", "the server gives no raw_path")
    hosts = [value for name, value in headers if name == b"host"]
    client = _peer(scope)
    if len(hosts) != 1:
        raise RequestRejected(400, "host_missing" if not hosts else "host_twice")
    host = config.hosts.find(hosts[0])
    if config.proxies.active:
        trusted = config.proxies.trusts(client)
        if host is None and trusted:
            forwarded = [value for name, value in headers if name == b"x-forwarded-host"]
            host = config.hosts.find(forwarded[0].strip()) if len(forwarded) == 1 else None
        if trusted:
            chain = [value for name, value in headers if name == b"x-forwarded-for"]
            client = config.proxies.client(client, chain)
    if host is None:
        raise RequestRejected(421, "foreign_host")
    target = parse_target(raw_path, scope["query_string"], config.leniency)
    kind = Kind.WEBSOCKET if websocket else kind_of(method, headers)
    return Facts(method, config.scheme, host, target, client, kind)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
