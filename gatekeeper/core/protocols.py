"""The protocols through which services meet: one file to read to know who may ask what of whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, NamedTuple, Protocol

from gatekeeper.core.session import (
    Cutoffs,
    Ended,
    EndReason,
    HeaderList,
    Session,
    SessionRecord,
    Timeouts,
    UserRecord,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Immediate = Callable[[str, str, bytes, bytes, Iterable[tuple[bytes, bytes]]], bytes | None]
"""Beside an ASGI application, for questions that need no waiting: (peer's address, method, raw path, query,
headers) → the header lines of an empty 200, all of them and each ended (`core.headers.header_lines`), or
None: then the application itself is asked. Most of the cost of a short answer is the task, the scope and the
messages of ASGI."""


class SessionStore(Protocol):
    """Where sessions live. Raises `core.errors.StoreUnavailable` when it cannot be asked.

    Keys are SHA-256 of the session id (32 bytes); times are seconds since the epoch.
    """

    async def get(self, key: bytes) -> SessionRecord | EndReason:
        """The record, or why there is none: UNKNOWN, or the reason it was ended with."""

    async def ended(self, key: bytes) -> Ended | None:
        """Whose session it was, and how it ended; None while it lives, and when nothing is known of it."""

    async def create(self, record: SessionRecord) -> None: ...

    async def replace(self, old: bytes, record: SessionRecord, *, grace_until: float) -> bool:
        """Put `record` in place of `old` in one transaction; `old` answers until `grace_until`.

        False when `old` was not alive any more: then nothing is created.
        """

    async def skip(self, key: bytes, step: str, now: float) -> bool:
        """Add `step` to what was skipped in this session; False when it is over or was replaced."""

    async def touch(self, seen: Sequence[tuple[bytes, float]]) -> None:
        """Move `last_seen_at` forward, never back."""

    async def renew(self, used: Sequence[tuple[bytes, float]], timeouts: Timeouts) -> None:
        """Move `renewed_at` of remembered sessions forward, never back, and only of those alive by then."""

    async def see_tabs(self, seen: Sequence[tuple[bytes, float]]) -> None:
        """Move `tab_seen_at` forward, never back."""

    async def close_tab(self, key: bytes, now: float) -> None:
        """Move `tab_closed_at` forward, never back, and announce it: every process must judge by it."""

    async def end(
        self, key: bytes, reason: EndReason, now: float, *, judged: SessionRecord | None = None
    ) -> bool:
        """End one session everywhere, with the ids that it replaced; False when it was over already.

        With `judged`, the end is by time: only this id, and False when it was active, renewed or seen in
        an open tab since.
        """

    async def end_user(
        self, user_id: int, reason: EndReason, now: float, *, keep: bytes | None = None
    ) -> int:
        """End all sessions of a user but `keep`; the number ended."""

    async def list(self, user_id: int | None = None) -> list[SessionRecord]: ...

    async def expire(self, now: float, over: Cutoffs) -> int:
        """Write down the end of what is over by time, so that no clock set back revives it; the number."""

    async def purge(self, over: Cutoffs, *, ended_before: float) -> int:
        """Forget rows that no answer depends on any more."""


class UserDirectory(Protocol):
    """Reads accounts for the sessions. Raises `StoreUnavailable`."""

    async def get(self, user_id: int) -> UserRecord | None: ...


class SessionGuard(Protocol):
    """What the gate asks of the sessions (implemented by `sessions.manager.SessionManager`)."""

    def peek(self, cookie: bytes, now: float) -> Session | EndReason | None:
        """Answer from the process's cache, without I/O; None means: ask `load`."""

    async def load(self, cookie: bytes, now: float) -> Session | EndReason:
        """Answer from the store. Raises `StoreUnavailable`."""

    def touch(self, session: Session, now: float) -> None:
        """The person was active: written behind in batches."""

    def used(self, session: Session, now: float, *, navigation: bool) -> None:
        """A request of a session in which the session script runs: the last tab is not closed."""

    def watch(self, session: Session, on_revoked: Callable[[], None]) -> Callable[[], None]:
        """Call `on_revoked` once when the session is ended by sign-out or revocation (not by time).

        Returns the function that stops watching. Long answers and WebSockets are cut by it.
        """


class Assertions(Protocol):
    """Signs who is asking, for the application to verify (implemented by `assertions.maker`)."""

    def lines(self, session: Session, audience: str, now: float, *, active: bool) -> HeaderList:
        """The header lines for a live, complete session. Raises Undecidable when there is no key."""


class PostedForm(NamedTuple):
    """A form as a browser sent it."""

    host: str
    """As `Facts.host`."""
    target: bytes
    """Path and query, byte for byte."""
    content_type: bytes
    body: bytes


class FormKeeper(Protocol):
    """Keeps forms that were posted into an ended session (`accounts.kept_forms.KeptForms`).

    Raises `StoreUnavailable`. `browser` is the value of the cookie that tells browsers apart.
    """

    most: int
    """Bytes of the largest body that is kept."""

    async def owner(self, cookie: bytes) -> int | None:
        """The user whose session with this cookie ended by itself a short while ago."""

    async def keep(
        self, user_id: int, form: PostedForm, browser: str | None, *, client: str, request_id: str
    ) -> str | None:
        """Keep it for `user_id` and this browser; the browser's value from now on. None: not kept."""

    async def take(
        self, key: str, user: UserRecord, browser: str | None, *, client: str, request_id: str
    ) -> PostedForm | None:
        """Give it out, once and for all; None when it is not there for this user and browser."""


class TunnelPeer(Protocol):
    """The upstream side of a raw WebSocket: what the server hands client bytes to."""

    def client_data(self, data: bytes) -> None: ...

    def client_eof(self) -> None: ...

    def client_lost(self, error: Exception | None) -> None: ...

    def pause_upstream(self) -> None:
        """The client's write buffer is full: stop reading from the application."""

    def resume_upstream(self) -> None: ...

    def shutdown(self) -> None:
        """The server stops: close both sides with 1001 (RFC 6455 section 7.4.1)."""


class Tunnel(Protocol):
    """The client's connection at a WebSocket hand-shake, offered raw by our server protocol.

    Found at `scope["extensions"]["gatekeeper.tunnel"]` of a websocket scope. Whoever calls `accept` owns
    the connection from then on and must not use the scope's receive and send; whoever does not call it
    uses plain ASGI messages.
    """

    def accept(self, head: bytes, peer: TunnelPeer) -> asyncio.Transport:
        """Write `head` (a whole 101 response) and hand over the transport.

        Bytes that the client already sent after the hand-shake are given to `peer.client_data` before this
        returns.
        """

    def refuse(self, head: bytes, body: bytes) -> None:
        """Write a whole HTTP response instead of the upgrade, and close."""
