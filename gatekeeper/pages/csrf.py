"""Forms are accepted from our own pages only: a signed value twice, and what the browser says of the origin.

The cookie is of its own and not bound to the session, so that it survives the changes of the session's id
and a form opened before somebody signed in elsewhere still works. OWASP CSRF Prevention Cheat Sheet: signed
double-submit cookie, Fetch Metadata, Origin. The Host header alone is never asked, it is
the client's own word: what it names must be one of our own hosts.
"""

from __future__ import annotations

import hmac
import secrets as random_source
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from itsdangerous import BadSignature, Signer
from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.clock import Clock
from gatekeeper.core.context import RequestContext
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.pages.cookies import set_cookie

FIELD = "csrf"
SIBLING_SECONDS = 60
"""How far apart two tabs that opened at once may have been given their values."""


_OWN_SITES = (None, "same-origin", "none")
"""Sec-Fetch-Site of our own forms; None from browsers that do not send it."""


class Verdict(Enum):
    """What is to be thought of a posted form."""

    GENUINE = "genuine"
    STALE = "stale"
    """From this browser, but an older page of ours: shown again."""
    NO_COOKIE = "no_cookie"
    """The browser did not keep our cookie: something is set up wrongly, and the page says what."""
    FOREIGN = "foreign"
    """Sent by a page of another origin (or ours is configured wrongly)."""


class _Value(NamedTuple):
    issued_at: int
    random: str

    def __str__(self) -> str:
        return f"{self.issued_at}-{self.random}"


class FormToken(NamedTuple):
    """What a page with a form needs: the hidden field's value, and the cookie when it is a new one."""

    field: str
    new_cookie: str | None


class Csrf:
    """Issues and checks; holds no state."""

    def __init__(
        self, secrets: Sequence[str], cookies: CookieNames, public_origins: Sequence[str], clock: Clock
    ) -> None:
        if not secrets or not public_origins:
            raise ValueError("at least one secret and one public origin are needed")
        newest_last = list(reversed(secrets))  # itsdangerous signs with the last key and verifies with all
        self._cookie_signer = Signer(newest_last, salt="gatekeeper.csrf")
        self._field_signer = Signer(newest_last, salt="gatekeeper.csrf.field")
        self._cookies = cookies
        self._cookie_name = cookies.csrf.encode("ascii")
        self._origins = {origin.partition("://")[2]: origin for origin in public_origins}
        self._clock = clock

    def token(self, request: Request) -> FormToken:
        """The browser's own value when it has a genuine one, so that all tabs share it; else a new one."""
        raw = find_cookie(request.scope["headers"], self._cookie_name)
        value = _read(self._cookie_signer, raw)
        if value is not None:
            return FormToken(_sign(self._field_signer, value), None)
        value = _Value(int(self._clock()), random_source.token_urlsafe(18))
        return FormToken(_sign(self._field_signer, value), _sign(self._cookie_signer, value))

    def keep(self, request: Request, response: Response, token: FormToken) -> None:
        """Set the cookie when it is a new one; it lives as long as the browser runs.

        Not in answer to another site's form: browsers send that without our cookies (SameSite), so it only
        looks as if there were none, and a new one would make the forms in all open tabs stale.
        """
        foreign = request.headers.get("sec-fetch-site") not in _OWN_SITES
        if token.new_cookie is not None and (request.method in ("GET", "HEAD") or not foreign):
            set_cookie(response, self._cookies.csrf, token.new_cookie, secure=self._cookies.secure)

    def _own_origin(self, request: Request) -> str | None:
        """The origin that the form must come from: one of ours, and that of the very host it was sent to."""
        context: RequestContext = request.scope["gatekeeper"]
        return None if context.facts is None else self._origins.get(context.facts.host)

    def from_own_origin(self, request: Request) -> bool:
        """Whether nothing that the browser says of where a request came from speaks against our own pages."""
        if request.headers.get("sec-fetch-site") not in _OWN_SITES:
            return False
        return all(origin == self._own_origin(request) for origin in request.headers.getlist("origin"))

    def check(self, request: Request, form: Mapping[str, str]) -> Verdict:
        """Judge a posted form. Only GENUINE may change anything."""
        site = request.headers.get("sec-fetch-site")
        origins = request.headers.getlist("origin")
        if not self.from_own_origin(request):
            return Verdict.FOREIGN
        raw = find_cookie(request.scope["headers"], self._cookie_name)
        if raw is None:
            return Verdict.NO_COOKIE
        cookie = _read(self._cookie_signer, raw)
        field = _read(self._field_signer, form.get(FIELD, "").encode("utf-8"))
        if cookie is None or field is None:
            return Verdict.STALE
        if hmac.compare_digest(str(cookie), str(field)):
            return Verdict.GENUINE
        # Several tabs that a browser opened at once (restored tabs, say) are each given a value, and the
        # last cookie wins. They are believed when both values are ours and of the same moment, and the
        # browser itself says twice that the form came from our own origin.
        of_one_moment = abs(cookie.issued_at - field.issued_at) <= SIBLING_SECONDS
        if of_one_moment and site == "same-origin" and origins:
            return Verdict.GENUINE
        return Verdict.STALE


def _sign(signer: Signer, value: _Value) -> str:
    return signer.sign(str(value)).decode("ascii")


def _read(signer: Signer, raw: bytes | None) -> _Value | None:
    if not raw:
        return None
    try:
        issued_at, random = signer.unsign(raw).decode("ascii").split("-", 1)
        return _Value(int(issued_at), random)
    except (BadSignature, ValueError):
        return None
