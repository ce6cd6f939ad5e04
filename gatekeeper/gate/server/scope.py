"""What a request is to an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from gatekeeper.gate.server.head import Head
    from gatekeeper.gate.server.protocol import StrictProtocol


def make_scope(kind: str, head: Head, connection: StrictProtocol) -> dict[str, Any]:
    """The ASGI scope of a request; `kind` is "http" or "websocket"."""
    raw_path = head.raw_path
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
    if connection.root_path:
        path = connection.root_path + path
        raw_path = connection.root_path.encode("ascii") + raw_path
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1" if head.minor else "1.0",
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme,
        "method": head.method,
        "root_path": connection.root_path,
        "path": path,
        "raw_path": raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": connection.app_state.copy(),
        "extensions": {},
    }
