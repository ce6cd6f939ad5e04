"""Answers that the gate gives itself: redirects to sign-in, JSON for scripts, refused hand-shakes."""

from __future__ import annotations

import json
from urllib.parse import quote_from_bytes, urlsplit

from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.protocols import Scope, Send
from gatekeeper.core.returns import MAX_LENGTH
from gatekeeper.core.session import EndReason, UserRecord
from gatekeeper.gate.config import GateConfig

_SHOWN_REASONS = frozenset(
    (EndReason.IDLE, EndReason.ABSOLUTE, EndReason.UNFINISHED, EndReason.REVOKED, EndReason.CLOSED)
)
_NEXT_SAFE = "/:@!$'()*,;~"


def sign_in_location(
    prefix: str, facts: Facts, ended: EndReason | None, referer: bytes | None, origin: str
) -> str:
    """The sign-in page's address, with the place to come back to.

    A GET comes back to itself. What was posted cannot be repeated by a redirect: then the way back is the
    page that the form was on, when it is one of `origin`, the same host's. The fragment stays with the
    browser (RFC 9110 section 10.2.2).
    """
    parameters = _way_back(facts, referer, origin)
    if ended in _SHOWN_REASONS:
        parameters.append("ended=" + ended.value)
    return _address(prefix + "/login", parameters)


def step_up_location(
    prefix: str,
    user: UserRecord,
    facts: Facts | None = None,
    referer: bytes | None = None,
    origin: str = "",
) -> str:
    """The page that asks for a second factor in the middle of a session, with the place to come back to.

    Who has none yet is led to setting one up, which proves it too. Without `facts` nothing is come back to.
    """
    parameters = [] if facts is None else _way_back(facts, referer, origin)
    if not user.second_factor:
        return _address(prefix + "/2fa/setup", parameters)
    return _address(prefix + "/login/2fa", [*parameters, "stepup=1"])


def _address(page: str, parameters: list[str]) -> str:
    return page + ("?" + "&".join(parameters) if parameters else "")


def _way_back(facts: Facts, referer: bytes | None, origin: str) -> list[str]:
    back = _place(facts) if facts.method in ("GET", "HEAD") else _from_referer(referer, origin)
    if back in (b"", b"/") or len(back) > MAX_LENGTH or back.startswith(b"//"):
        return []
    return ["next=" + quote_from_bytes(back, safe=_NEXT_SAFE)]


def _place(facts: Facts) -> bytes:
    target = facts.target
    return target.raw + b"?" + target.query if target.query else target.raw


def _from_referer(referer: bytes | None, origin: str) -> bytes:
    if referer is None:
        return b""
    try:
        parts = urlsplit(referer.decode("ascii"))
    except ValueError:
        return b""
    if f"{parts.scheme}://{parts.netloc}" != origin:
        return b""
    return (parts.path + ("?" + parts.query if parts.query else "")).encode("ascii")


def other_spelling(scope: Scope, error: RequestRejected, config: GateConfig) -> str:
    """Where somebody belongs who typed `localhost` for 127.0.0.1 on their own machine; "" for all others.

    Only loopback names lead to a loopback `public_url`, so nobody is sent anywhere but to their own machine.
    """
    if error.reason != "foreign_host" or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return ""
    sent = next((value for name, value in scope["headers"] if name == b"host"), b"")
    for origin in config.public_origins:
        name, _, port = origin.partition("://")[2].rpartition(":")
        names = ("localhost", "127.0.0.1", "[::1]")
        if name in names and sent.lower() in [f"{other}:{port}".encode() for other in names]:
            path: bytes = scope["raw_path"]
            query: bytes = scope["query_string"]
            return origin + (path + (b"?" + query if query else b"")).decode("latin-1")
    return ""


async def redirect(
    send: Send, location: str, *, status: int = 303, set_cookies: tuple[bytes, ...] = ()
) -> None:
    """303: whatever the method was, the sign-in page is fetched with GET (RFC 9110 section 15.4.4)."""
    headers = [
        (b"location", location.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"content-length", b"0"),
        *((b"set-cookie", value) for value in set_cookies),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def refuse_script(scope: Scope, send: Send, context: RequestContext, refusal: Refusal) -> None:
    """`refusal` for whoever is no person waiting for a page."""
    await refuse_background(
        scope,
        send,
        refusal.status,
        error=refusal.reason,
        request_id=context.request_id,
        retry_after=refusal.retry_after,
    )


async def refuse_background(
    scope: Scope,
    send: Send,
    status: int,
    *,
    error: str,
    request_id: str,
    sign_in: str | None = None,
    retry_after: int | None = None,
) -> None:
    """A small JSON body for scripts; for a WebSocket the same as a denied hand-shake, or close 1008."""
    content: dict[str, str] = {"error": error, "request_id": request_id}
    if sign_in is not None:
        content["sign_in"] = sign_in
    body = json.dumps(content).encode("utf-8")
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"x-gatekeeper-refused", error.encode("ascii")),  # so that the session script knows it from others'
    ]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode("ascii")))
    prefix = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": error})
            return
        prefix = "websocket.http"
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})


async def plain(send: Send, status: int, body: bytes) -> None:
    """A line of text, for programs and their operators."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"content-length", str(len(body)).encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def wants_json(kind: Kind) -> bool:
    return kind is not Kind.NAVIGATION
