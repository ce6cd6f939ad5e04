"""healthz: the process answers. readyz: it can also do its work. Neither tells a stranger anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Check = Callable[[], Awaitable[bool]]
HealthApp = Callable[[Any, Any, Any], Awaitable[None]]


def _plain(status: int, text: str) -> HealthApp:
    body = (text + "\n").encode("ascii")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


healthz = _plain(200, "ok")


def make_readyz(checks: Mapping[str, Check]) -> HealthApp:
    """200 when every check says yes, else 503 with the names of those that did not."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        missing = [name for name, check in checks.items() if not await check()]
        answer = _plain(503, "not ready: " + ", ".join(missing)) if missing else _plain(200, "ready")
        await answer(scope, receive, send)

    return app
