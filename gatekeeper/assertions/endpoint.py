"""`jwks.json`: the public keys, for applications that verify assertions."""

from __future__ import annotations

from gatekeeper.assertions.keys import SigningKeys
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send

MAX_AGE = 300
"""Seconds that caches may keep the key set. Short, because after `keys rotate --now` a copy still has the
withdrawn key; long against the time in which an unknown key id makes a verifier ask again."""


def make_key_set(keys: SigningKeys) -> ASGIApp:
    """The endpoint, a plain ASGI application for everybody who asks."""

    async def key_set(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 200, b""
        headers = [
            (b"cache-control", b"public, max-age=%d" % MAX_AGE),
            (b"content-type", b"application/jwk-set+json"),
        ]
        if scope["method"] in ("GET", "HEAD"):
            body = await keys.key_set()
        else:
            status, headers = 405, [(b"allow", b"GET, HEAD"), (b"cache-control", b"no-store")]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return key_set
