"""Sign-ins under way at an identity provider, as the browser keeps them.

Each flow is a sealed cookie of its own, sent only to the provider's two addresses here, for ten minutes; so
several tabs do not disturb each other, and nothing is stored for people who never come back. A second cookie,
which only this very host can have set (`__Host-`), is sealed into each flow: a flow that a sibling host
planted in somebody's browser belongs to another one and is refused (login CSRF, RFC 9700 section 4.7,
RFC 6265bis section 4.1.3.2).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets as random_source
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.clock import Clock
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.pages.cookies import clear_cookie, set_cookie

PURPOSE = "sign-in flow"
"""Of the SecretBox."""
LIFETIME = 600
"""Seconds from the button to the way back; a second factor at the provider takes some of them."""
MAX_FLOWS = 8
"""Of one provider in one browser; the oldest make room."""
_REMEMBERED = 3600
"""Seconds for which the sign-in page knows that a flow did not come back."""
_LONGEST = 3_800
"""Characters of a cookie's value: browsers drop cookies above 4096 bytes with name and attributes."""
_LOOKED_AT = 32
"""Cookies that are opened: somebody else may have planted hundreds."""
_BROWSER = re.compile(rb"([A-Za-z0-9_-]{43})\.([a-z0-9-]{0,64})")


class Flow(NamedTuple):
    """One sign-in at a provider."""

    provider: str
    state: str
    nonce: str
    verifier: str
    """PKCE (RFC 7636)."""
    target: str
    """Where the person wants to go in the end."""
    began_at: float

    @property
    def expires_at(self) -> float:
        """Seconds since the epoch."""
        return self.began_at + LIFETIME


class _Browser(NamedTuple):
    id: str
    away: str
    """The provider that somebody went to and did not come back from, "" for none."""


class FlowCookies:
    """Begins, finds and forgets flows."""

    def __init__(self, secrets: Sequence[str], cookies: CookieNames, clock: Clock, prefix: str) -> None:
        self._box = SecretBox(secrets, PURPOSE)
        self._cookies = cookies
        self._clock = clock
        self._prefix = prefix
        plain = cookies.sso.removeprefix("__Host-")
        # A path other than "/" cannot have a __Host- name.
        self._base = ("__Secure-" if cookies.secure else "") + plain + "_"
        self._ours = re.compile(self._base.encode("ascii") + rb"[0-9a-f]{16}")

    def begin(self, provider: str, target: str) -> Flow:
        """A new flow. `target` is an address of ours (core.returns)."""
        state, nonce = (random_source.token_urlsafe(32) for _ in range(2))
        return Flow(provider, state, nonce, random_source.token_urlsafe(48), target, self._clock())

    def keep(self, request: Request, response: Response, flow: Flow) -> None:
        """Give the browser the flow along with `response`, and take those that are over."""
        browser = self._browser(request) or _Browser(random_source.token_urlsafe(32), "")
        self._set_browser(response, browser._replace(away=flow.provider))
        alive = []
        for name, sealed in self._all(request):
            known = self._open(sealed, flow.provider, browser.id)
            if known is None:
                self._clear(response, name, flow.provider)
            else:
                alive.append((known.began_at, name))
        for _, name in sorted(alive)[: max(0, len(alive) - MAX_FLOWS + 1)]:
            self._clear(response, name, flow.provider)
        set_cookie(
            response,
            self._name(flow.state),
            self._sealed(flow, browser.id),
            secure=self._cookies.secure,
            max_age=LIFETIME,
            path=self._path(flow.provider),
        )

    def find(self, request: Request, provider: str, state: str) -> Flow | None:
        """The flow that comes back with `state`; None for another browser's or provider's, and when over."""
        browser = self._browser(request)
        sealed = find_cookie(request.scope["headers"], self._name(state).encode("ascii"))
        if browser is None or not sealed:
            return None
        flow = self._open(sealed, provider, browser.id)
        return flow if flow is not None and hmac.compare_digest(flow.state, state) else None

    def finish(self, request: Request, response: Response, flow: Flow) -> None:
        """The flow came back, whatever came of it."""
        self._clear(response, self._name(flow.state), flow.provider)
        browser = self._browser(request)
        if browser is not None and browser.away:
            self._set_browser(response, browser._replace(away=""))

    def away(self, request: Request) -> str:
        """The provider that somebody went to from here and did not come back from; "" for none."""
        browser = self._browser(request)
        return "" if browser is None else browser.away

    def _sealed(self, flow: Flow, browser: str) -> str:
        """The cookie's value; a target that is too long for it is cut to its path, or forgotten."""
        for target in (flow.target, re.split(r"[?#]", flow.target, maxsplit=1)[0], "/"):
            written = json.dumps([browser, *flow._replace(target=target)])
            sealed = self._box.seal(written.encode("utf-8")).decode("ascii")
            if len(sealed) <= _LONGEST:
                break
        return sealed

    def _open(self, sealed: bytes, provider: str, browser: str) -> Flow | None:
        try:
            written: list[Any] = json.loads(self._box.open(sealed))
        except SealBroken:
            return None
        owner, flow = written[0], Flow(*written[1:])
        ours = hmac.compare_digest(owner, browser) and flow.provider == provider
        return flow if ours and flow.began_at <= self._clock() < flow.expires_at else None

    def _all(self, request: Request) -> list[tuple[str, bytes]]:
        pairs = (
            part.strip().partition(b"=")
            for name, value in request.scope["headers"]
            if name == b"cookie"
            for part in value.split(b";")
        )
        found = [(name.decode("ascii"), value) for name, _, value in pairs if self._ours.fullmatch(name)]
        return found[:_LOOKED_AT]

    def _browser(self, request: Request) -> _Browser | None:
        raw = find_cookie(request.scope["headers"], self._cookies.sso.encode("ascii"))
        match = _BROWSER.fullmatch(raw or b"")
        return None if match is None else _Browser(match[1].decode("ascii"), match[2].decode("ascii"))

    def _set_browser(self, response: Response, browser: _Browser) -> None:
        value = f"{browser.id}.{browser.away}"
        set_cookie(response, self._cookies.sso, value, secure=self._cookies.secure, max_age=_REMEMBERED)

    def _clear(self, response: Response, name: str, provider: str) -> None:
        clear_cookie(response, name, secure=self._cookies.secure, path=self._path(provider))

    def _path(self, provider: str) -> str:
        return f"{self._prefix}/sso/{provider}"

    def _name(self, state: str) -> str:
        return self._base + hashlib.sha256(state.encode("utf-8")).hexdigest()[:16]
