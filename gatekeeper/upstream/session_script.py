"""Puts the session script into an application's pages while they pass: an ASGI layer in front of it.

A page is held until its <head> was seen to the end, because that may say what scripts are allowed: at most
`CAP` bytes, and once there is a place for the script, at most `HOLD` seconds. Then everything streams on.
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gatekeeper.core.protocols import ASGIApp, Message, Receive, Scope, Send
from gatekeeper.core.tasks import TaskKeeper
from gatekeeper.upstream.csp import Addresses, Policy, admit, parse_policies
from gatekeeper.upstream.html_head import Found, HeadScanner
from gatekeeper.upstream.script_headers import (
    Headers,
    Wanted,
    document_request,
    foreign_charset,
    is_html,
    judge_answer,
    unchanged,
    varying,
    wanted,
    with_script,
)

CAP = 65_536
"""Bytes of a page that are looked at."""
HOLD = 1.0
"""Seconds for which the rest of a <head> is waited for."""


@dataclass(frozen=True, slots=True)
class ScriptTag:
    """The element that loads the script."""

    src: str
    """Its path and query."""
    prefix: str
    addresses: Addresses
    """Those of one host; on others its requests go to the page's own."""
    position: str = ""
    """The corner that the menu is in, "" for the script's own choice."""

    def element(self, nonce: str = "") -> bytes:
        written = f' data-position="{self.position}"' if self.position else ""
        written += f' nonce="{html.escape(nonce)}"' if nonce else ""
        src, prefix = html.escape(self.src), html.escape(self.prefix)
        return f'<script src="{src}" defer data-prefix="{prefix}"{written}></script>'.encode("ascii")

    @property
    def suffix(self) -> bytes:
        """What is added to the application's entity tags; another one for another script."""
        return b"-gk" + hashlib.sha256(self.element()).hexdigest()[:8].encode("ascii")


class SessionScript:
    """`app` with the script in its pages, for people who are signed in.

    `on_left_out` hears a reason why pages go without the script, each reason once: "compressed",
    "no-transform", "charset", "no-place", or "csp" with the directive after a space. `now` counts seconds and
    never goes back.
    """

    def __init__(
        self,
        app: ASGIApp,
        tag: ScriptTag,
        *,
        on_left_out: Callable[[str], None],
        on_error: Callable[[BaseException], None],
        hold: float = HOLD,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tag = tag
        self.suffix = tag.suffix
        self.hold = hold
        self.tasks = TaskKeeper(on_error)
        self._app = app
        self._on_left_out = on_left_out
        self._told: set[str] = set()
        self._left_out_at: float | None = None
        self._now = now

    def absent_within(self, seconds: float) -> bool:
        """Whether a page went without the script in the last `seconds`: its people cannot report activity."""
        return self._left_out_at is not None and self._now() - self._left_out_at < seconds

    def left_out(self, reason: str, what: Wanted) -> None:
        if what is Wanted.PAGE:
            self._left_out_at = self._now()
        if reason not in self._told:
            self._told.add(reason)
            self._on_left_out(reason)

    async def aclose(self) -> None:
        await self.tasks.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        what = wanted(scope)
        if what is Wanted.DATA:
            await self._app(scope, receive, _Varying(send))
            return
        headers, conditional = document_request(scope["headers"], self.suffix)
        host = next((value for name, value in headers if name == b"host"), None)
        addresses = self.tag.addresses if host is None else self.tag.addresses.at(host.decode("ascii"))
        page = PageAnswer(self, send, what, addresses, conditional=conditional)
        try:
            await self._app({**scope, "headers": headers}, receive, page)
        finally:
            page.abandon()


class _Varying:
    """A `send` for what is no page to show, though it may be HTML."""

    __slots__ = ("_send",)

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = _marked(message)
        await self._send(message)


class _State(Enum):
    START = 1
    HELD = 2
    THROUGH = 3


class PageAnswer:
    """A `send` that puts the script into the answer when it is a page."""

    def __init__(
        self, owner: SessionScript, send: Send, what: Wanted, addresses: Addresses, *, conditional: bool
    ) -> None:
        self._owner = owner
        self._addresses = addresses
        self._send = send
        self._what = what
        self._conditional = conditional
        self._state = _State.START
        self._head: Message = {}
        self._headers: Headers = []
        self._policies: list[Policy] = []
        self._scanner = HeadScanner()
        self._rest: list[bytes] = []
        """What came after the first `CAP` bytes while they were held."""
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._early: asyncio.Task[None] | None = None

    async def __call__(self, message: Message) -> None:
        if self._state is _State.THROUGH:
            if self._sending.locked():
                async with self._sending:  # what was held goes first
                    pass
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and self._state is _State.HELD:
            await self._body(message)
        else:
            await self._send(message)

    def abandon(self) -> None:
        """The answer is over, however it ended."""
        self._stop_waiting()
        if self._early is not None:
            self._early.cancel()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _begin(self, message: Message) -> None:
        headers: Headers = list(message.get("headers", ()))
        status = message["status"]
        self._state = _State.THROUGH
        if status == 304 and self._conditional:
            await self._send({**message, "headers": unchanged(headers, self._owner.suffix)})
            return
        verdict = judge_answer(status, headers)
        if verdict.document:
            self._policies = parse_policies(
                value.decode("latin-1")
                for name, value in headers
                if name.lower() == b"content-security-policy"
            )
            refused = admit(self._policies, self._addresses).refused_by
            if not refused:
                self._state, self._head, self._headers = _State.HELD, message, headers
                return
            self._owner.left_out(f"csp {refused}", self._what)
        elif verdict.reason:
            self._owner.left_out(verdict.reason, self._what)
        await self._send(_marked(message))

    async def _body(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        scanner = self._scanner
        room = CAP - len(scanner.data)
        found = scanner.feed(body[:room], last=not more and len(body) <= room)
        if len(body) > room:
            self._rest.append(body[room:])
        full = len(scanner.data) >= CAP
        if more and not full and found in (Found.NOTHING, Found.PLACE):
            if found is Found.PLACE and self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._owner.hold, self._waited)
            return
        await self._release(more=more)

    def _waited(self) -> None:
        self._timer = None
        if self._state is _State.HELD:
            self._early = self._owner.tasks.start(self._release_early())

    async def _release_early(self) -> None:
        if self._state is _State.HELD:
            try:
                await self._release(more=True)
            except OSError:
                self._state = _State.THROUGH  # the client is gone, as the next `send` will say

    async def _release(self, *, more: bool) -> None:
        """Send what is held, with the script where it may run."""
        self._stop_waiting()
        self._state = _State.THROUGH
        async with self._sending:
            data, element = bytes(self._scanner.data), self._element()
            headers = self._headers
            pieces = [data, *self._rest]
            if element:
                at = self._scanner.place(len(element))
                pieces = [data[:at], element, data[at:], *self._rest]
                headers = with_script(headers, added=len(element), suffix=self._owner.suffix)
            self._rest = []
            self._scanner = HeadScanner()
            await self._send({**self._head, "headers": varying(headers)})
            await self._send({"type": "http.response.body", "body": b"".join(pieces), "more_body": more})

    def _element(self) -> bytes:
        """The script's element; b"" when this page has no place for it."""
        scanner, owner = self._scanner, self._owner
        if scanner.found is Found.NO_DOCUMENT:
            return b""
        if scanner.found is Found.NOTHING:
            if len(scanner.data) >= CAP:
                owner.left_out("no-place", self._what)
            return b""
        if foreign_charset(scanner.charset) and scanner.charset.startswith(("iso-2022", "csiso2022")):
            owner.left_out("charset", self._what)
            return b""
        policies = self._policies + parse_policies(scanner.policies, meta=True)
        admission = admit(policies, self._addresses)
        if admission.refused_by:
            owner.left_out(f"csp {admission.refused_by}", self._what)
            return b""
        return owner.tag.element(admission.nonce)


def _marked(message: Message) -> Message:
    headers: Headers = list(message.get("headers", ()))
    if any(name.lower() == b"content-type" and is_html(value) for name, value in headers):
        return {**message, "headers": varying(headers)}
    return message
