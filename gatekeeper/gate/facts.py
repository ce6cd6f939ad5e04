"""Reading an ASGI scope into facts, in one pass over its headers."""

from __future__ import annotations

from gatekeeper.core.applications import Application
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.kinds import judge_kind
from gatekeeper.core.protocols import Scope
from gatekeeper.gate.config import GateConfig

_HOST, _COOKIE, _MODE, _DEST, _ACCEPT, _XHR, _PURPOSE, _FORWARDED_FOR, _FORWARDED_HOST = range(9)
_WANTED = {
    b"host": _HOST,
    b"cookie": _COOKIE,
    b"sec-fetch-mode": _MODE,
    b"sec-fetch-dest": _DEST,
    b"accept": _ACCEPT,
    b"x-requested-with": _XHR,
    b"sec-purpose": _PURPOSE,
    b"purpose": _PURPOSE,
    b"x-forwarded-for": _FORWARDED_FOR,
    b"x-forwarded-host": _FORWARDED_HOST,
}
_NONE = (None,) * 9


def read_facts(scope: Scope, config: GateConfig) -> tuple[Facts, bytes | None, Application | None]:
    """The facts, the value of our session cookie as it was sent, and whose the page is (None: nobody's).

    Raises RequestRejected: 400 for a target or Host that can be read two ways, 421 for a foreign Host.
    """
    found: list[bytes | None] = [*_NONE]
    wanted = _WANTED.get
    for name, value in scope["headers"]:
        index = wanted(name)
        if index is not None:
            before = found[index]
            if before is None:
                found[index] = value
            elif index == _HOST:
                raise RequestRejected(400, "host_twice")
            else:
                found[index] = before + (b";" if index == _COOKIE else b",") + value
    raw_path = scope.get("raw_path")
    if raw_path is None:  # optional in ASGI; without the raw bytes nothing safe can be said
        raise RequestRejected(400, "path_form", "the server gives no raw_path")
    sent_host = found[_HOST]
    if sent_host is None:
        raise RequestRejected(400, "host_missing")
    host = config.hosts.find(sent_host)
    peer = scope.get("client")
    client = peer[0] if peer else ""
    if config.proxies.active and config.proxies.trusts(client):
        if host is None:
            host = config.hosts.find((found[_FORWARDED_HOST] or b"").strip())
        chain = found[_FORWARDED_FOR]
        client = config.proxies.client(client, () if chain is None else (chain,))
    if host is None:
        raise RequestRejected(421, "foreign_host")
    target, application = config.target(host, raw_path, scope["query_string"])
    if scope["type"] == "websocket":
        method, kind = "GET", Kind.WEBSOCKET
    else:
        method = scope["method"]
        kind = judge_kind(found[_MODE], found[_DEST], found[_ACCEPT], found[_XHR], found[_PURPOSE])
    facts = Facts(method, config.scheme, host, target, client, kind)
    cookies = found[_COOKIE]
    return facts, None if cookies is None else config.session_cookie(cookies), application
