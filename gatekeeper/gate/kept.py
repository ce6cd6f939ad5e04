"""Forms posted into an ended session: kept on the way to sign-in, and sent when their owner says so.

A kept form is sent by a form of ours on the page that lists them: it is posted to the application's own
address and carries nothing but the kept form's key. When every rule lets that POST through, the gate puts the
kept body in its place. So the application's answer is shown at the application's address, as if nothing had
happened.
"""

from __future__ import annotations

import asyncio
import re

from gatekeeper.core.context import Facts, Kind, RequestContext
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.core.protocols import FormKeeper, Message, PostedForm, Receive, Scope, Send
from gatekeeper.core.session import EndReason, Session
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.refusals import redirect

FIELD = b"gatekeeper_kept"
PAGE = "/kept"
"""Below the prefix: the page that lists what is kept."""
COOKIE_AGE = 1800
"""Seconds: longer than anything is kept."""

_MARK = re.compile(FIELD + rb"=([A-Za-z0-9_-]{43})")
_MARK_LENGTH = b"%d" % (len(FIELD) + 44)
_URLENCODED = b"application/x-www-form-urlencoded"
_FORMS = (_URLENCODED, b"multipart/form-data")
_PIECE = 65_536
_READING = 8
"""Forms of the largest size that may be on their way in at once, in one process: they are in memory."""
_READING_EACH = 2
"""The same of one person."""
READ_SECONDS = 120.0
"""A form that has not arrived by then is not kept."""
_NEVER_SENT = frozenset(("upstream_unreachable", "upstream_tls", "upstream_busy"))
"""Failures at which nothing of a request has left us."""


class KeptFormGate:
    """`keeper` has the forms; `cookies.kept` tells browsers apart."""

    def __init__(self, keeper: FormKeeper, cookies: CookieNames, config: GateConfig) -> None:
        self._keeper = keeper
        self._reading: dict[int, int] = {}
        """User → bytes of what is on its way in."""
        self._config = config
        self._cookie = cookies.kept
        self._secure = cookies.secure
        self._page = config.prefix + PAGE

    @property
    def page(self) -> str:
        """Path of the page that lists what is kept."""
        return self._page

    async def kept(
        self, scope: Scope, receive: Receive, send: Send, context: RequestContext, facts: Facts
    ) -> bool:
        """Keep what is posted here, if it is a form of somebody whose session ended just now.

        True when it was kept, or is kept already: then the browser is on its way to sign in and back to it.
        Raises StoreUnavailable.
        """
        cookies = await self._keep(scope, receive, context, facts)
        if cookies is None or context.ended is None:
            return False
        location = f"{self._config.prefix}/login?next={self._page}&ended={context.ended.value}"
        await redirect(send, location, set_cookies=cookies)
        return True

    async def _keep(
        self, scope: Scope, receive: Receive, context: RequestContext, facts: Facts
    ) -> tuple[bytes, ...] | None:
        """The cookies to set when it is kept; None when it is not, and perhaps nothing was read."""
        headers = dict(scope["headers"])
        if (
            facts.method != "POST"
            or facts.kind is not Kind.NAVIGATION
            or context.cookie is None
            or context.ended in (None, EndReason.UNKNOWN)
            or not self._from_here(headers, facts)
        ):
            return None
        content_type, length = headers.get(b"content-type", b""), headers.get(b"content-length", b"")
        kind = content_type.split(b";", 1)[0].strip().lower()
        if kind not in _FORMS or not length.isdigit() or int(length) > self._keeper.most:
            return None
        if announces(headers):
            read = await _read(receive, int(length))
            return () if read is not None and _MARK.fullmatch(read) else None
        owner = await self._keeper.owner(context.cookie)
        if owner is None:
            return None
        body = await self._body(receive, owner, int(length))
        if body is None:
            return None
        target = facts.target
        place = target.raw + b"?" + target.query if target.query else target.raw
        mine = await self._keeper.keep(
            owner,
            PostedForm(facts.host, place, content_type, body),
            self._browser(scope),
            client=facts.client,
            request_id=context.request_id,
        )
        return None if mine is None else (self._set_cookie(mine),)

    async def _body(self, receive: Receive, owner: int, length: int) -> bytes | None:
        """What is posted; None when it does not arrive, or when there is too much at once.

        An ended session opens nothing, but whoever holds one could fill the memory with what never ends.
        """
        mine, most = self._reading.get(owner, 0), self._keeper.most
        if mine + length > _READING_EACH * most or sum(self._reading.values()) + length > _READING * most:
            return None
        self._reading[owner] = mine + length
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await _read(receive, length)
        except TimeoutError:
            return None
        finally:
            left = self._reading.pop(owner, 0) - length
            if left > 0:
                self._reading[owner] = left

    async def exchange(
        self,
        scope: Scope,
        receive: Receive,
        context: RequestContext,
        facts: Facts,
        session: Session | None,
    ) -> Receive | None:
        """What the application receives in place of a POST that `announces` a kept form.

        Changes the scope's headers to those of the kept form. None: it is not kept any more, or not here;
        nothing may be forwarded then. What turns out to be none of ours is received unchanged. Raises
        StoreUnavailable.
        """
        headers = dict(scope["headers"])
        length = int(headers[b"content-length"])
        body = await _read(receive, length)
        if body is None:
            return None
        mark = _MARK.fullmatch(body)
        if mark is None:
            return _giving(body, receive)
        if session is None or not self._from_here(headers, facts):
            return None
        form = await self._keeper.take(
            mark[1].decode("ascii"),
            session.user,
            self._browser(scope),
            client=facts.client,
            request_id=context.request_id,
        )
        target = facts.target
        place = target.raw + b"?" + target.query if target.query else target.raw
        if form is None or (form.host, form.target) != (facts.host, place):
            return None
        context.resent = form
        framing = (b"content-type", b"content-length", b"transfer-encoding", b"content-encoding")
        scope["headers"] = [
            *(pair for pair in scope["headers"] if pair[0] not in framing),
            (b"content-type", form.content_type),
            (b"content-length", b"%d" % len(form.body)),
        ]
        return _giving(form.body, receive)

    async def failed(self, scope: Scope, context: RequestContext, error: Exception) -> None:
        """Keep a form again that the application was never sent. Raises StoreUnavailable."""
        form, session, facts = context.resent, context.session, context.facts
        if form is None or session is None or facts is None:
            return
        if isinstance(error, UpstreamFailure) and error.reason in _NEVER_SENT:
            context.resent = None
            browser = self._browser(scope)
            await self._keeper.keep(
                session.user.id, form, browser, client=facts.client, request_id=context.request_id
            )

    def _from_here(self, headers: dict[bytes, bytes], facts: Facts) -> bool:
        return _same_origin(headers, self._config.own_origin(facts.host))

    def _browser(self, scope: Scope) -> str | None:
        found = find_cookie(scope["headers"], self._cookie.encode("ascii"))
        return None if found is None else found.decode("latin-1")

    def _set_cookie(self, value: str) -> bytes:
        parts = [f"{self._cookie}={value}", "Path=/", "HttpOnly", "SameSite=Lax", f"Max-Age={COOKIE_AGE}"]
        return "; ".join([*parts, "Secure"] if self._secure else parts).encode("ascii")


def announces(headers: dict[bytes, bytes]) -> bool:
    """Whether a POST is as long as one that stands for a kept form: only those are read to find out."""
    return headers.get(b"content-length") == _MARK_LENGTH and (
        headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower() == _URLENCODED
    )


def _same_origin(headers: dict[bytes, bytes], origin: str) -> bool:
    """W3C Fetch Metadata; browsers without it send Origin with every POST (Fetch Standard section 3.2)."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    return headers.get(b"origin") == origin.encode("ascii")


async def _read(receive: Receive, length: int) -> bytes | None:
    """The body; None when the client left or sent another number of bytes than it said."""
    body = bytearray()  # not a list: what comes byte by byte would take many times its size
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > length:
            return None
        if not message.get("more_body", False):
            return bytes(body) if len(body) == length else None


def _giving(body: bytes, receive: Receive) -> Receive:
    """A receive that gives `body` in pieces, and then what else there is to hear of the client."""
    at = 0
    done = False

    async def give() -> Message:
        nonlocal at, done
        if done:
            return await receive()
        piece = body[at : at + _PIECE]
        at += len(piece)
        done = at >= len(body)
        return {"type": "http.request", "body": piece, "more_body": not done}

    return give
