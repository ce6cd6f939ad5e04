"""A stand-in for the gate around the pages, and services that remember what was asked of them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from gatekeeper.accounts.errors import AccountError, InvalidCredentials
from gatekeeper.audit.events import EventKind
from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.session import EndReason, Session, SessionRecord, UserRecord
from gatekeeper.core.target import parse_target
from gatekeeper.pages.app import make_pages
from gatekeeper.pages.i18n import ENGLISH, Locale
from gatekeeper.pages.services import Branding, PageServices

ORIGIN = "https://gate.example.com"
COOKIES = CookieNames.make("gatekeeper", secure=True)
ADA = UserRecord(1, "ada@example.com", "Ada", "ada@example.com", ("clerk",), False, 0)
GOOD_PASSWORD = "seven green lanterns hum"
SECRET = "a secret of at least thirty-two bytes"

T = TypeVar("T")


def run(story: Callable[[], Awaitable[T]]) -> T:
    """Run one asynchronous story to its end."""

    async def main() -> T:
        return await story()

    return asyncio.run(main())


class FakeSignIn:
    """Knows one account; `fails_with` is raised instead of an answer."""

    def __init__(self) -> None:
        self.fails_with: Exception | None = None
        self.asked: list[tuple[str, str]] = []
        self.hold: threading.Event | None = None
        """When set, nobody gets an answer before the event."""

    async def password(self, login: str, password: str, *, client: str, request_id: str) -> UserRecord:
        self.asked.append((client, request_id))
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, 10)
        if self.fails_with is not None:
            raise self.fails_with
        if login.strip().casefold() == ADA.login and password == GOOD_PASSWORD:
            return ADA
        raise InvalidCredentials


class FakeSessions:
    """Sessions by cookie value."""

    def __init__(self) -> None:
        self.live: dict[str, Session] = {}
        self.ended: list[tuple[Session, EndReason]] = []
        self.fails_with: Exception | None = None
        self._number = 0

    async def start(
        self, user_id: int, *, methods: str, remembered: bool, client: str, user_agent: str
    ) -> tuple[Session, str]:
        if self.fails_with is not None:
            raise self.fails_with
        self._number += 1
        value = f"session-{self._number}"
        record = SessionRecord(
            key=value.encode().ljust(32, b"."),
            user_id=user_id,
            epoch=0,
            created_at=0.0,
            last_seen_at=0.0,
            remembered=remembered,
            methods=methods,
            first_factor_at=0.0,
            second_factor_at=0.0,
            client=client,
            user_agent=user_agent,
        )
        session = Session(record, replace_user(user_id), "", ())
        self.live[value] = session
        return session, value

    async def end(self, session: Session, reason: EndReason) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.live = {value: live for value, live in self.live.items() if live is not session}
        self.ended.append((session, reason))


def replace_user(user_id: int) -> UserRecord:
    """Ada under another number."""
    return ADA._replace(id=user_id)


class FakeAdministratorLink:
    """One token that works once; what was redeemed is remembered."""

    def __init__(self) -> None:
        self.token = "the-token"
        self.redeemed: list[dict[str, str]] = []
        self.fails_with: Exception | None = None

    async def redeem(
        self,
        token: str,
        login: str,
        name: str,
        email: str,
        password: str,
        *,
        client: str = "",
        request_id: str = "",
    ) -> UserRecord:
        if self.fails_with is not None:
            raise self.fails_with
        if token != self.token or self.redeemed:
            raise AccountError("link_closed")
        self.redeemed.append({"login": login, "name": name, "email": email, "password": password})
        return UserRecord(7, login, name, email, ("gatekeeper-admin",), False, 0)


class FakeAudit:
    """Events in order."""

    def __init__(self) -> None:
        self.events: list[tuple[EventKind, dict[str, Any]]] = []

    async def record(self, kind: EventKind, **values: Any) -> None:
        self.events.append((kind, values))


class FakeClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Pages with everything around them, and a stand-in for the gate: an ASGI application."""

    sign_in: FakeSignIn = field(default_factory=FakeSignIn)
    sessions: FakeSessions = field(default_factory=FakeSessions)
    link: FakeAdministratorLink = field(default_factory=FakeAdministratorLink)
    audit: FakeAudit = field(default_factory=FakeAudit)
    clock: FakeClock = field(default_factory=FakeClock)
    reported: list[tuple[BaseException, str]] = field(default_factory=list)
    branding: Branding = field(default_factory=Branding)
    locale: Locale = ENGLISH
    cookies: CookieNames = COOKIES
    origins: tuple[str, ...] = (ORIGIN,)
    secrets: tuple[str, ...] = (SECRET,)
    prefix: str = "/_gate"
    templates_dir: Path | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """By path: what the gate wants shown instead of it."""
    unreadable: bool = False
    """Whether the target of the next requests could not be read, so that there are no facts."""
    pages: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        self.pages = make_pages(self.services())

    def services(self) -> PageServices:
        """What the pages are made of."""
        return PageServices(
            sign_in=self.sign_in,
            sessions=self.sessions,
            admin_link=self.link,
            audit=self.audit,
            secrets=self.secrets,
            cookies=self.cookies,
            public_origins=self.origins,
            report=lambda error, request_id: self.reported.append((error, request_id)),
            clock=self.clock,
            branding=self.branding,
            prefix=self.prefix,
            locale=self.locale,
            templates_dir=self.templates_dir,
        )

    def with_secrets(self, *secrets: str) -> House:
        """The same house after its secrets were changed."""
        return replace(self, secrets=secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cookie = find_cookie(scope["headers"], self.cookies.session.encode())
        session = self.sessions.live.get(cookie.decode()) if cookie else None
        path: str = scope["path"]
        raw = scope["raw_path"].split(b"?")[0]
        scope["gatekeeper"] = RequestContext(
            request_id="req-1",
            facts=None if self.unreadable else _facts(scope, raw),
            session=session,
            refusal=self.refusals.get(path),
        )
        await self.pages(scope, receive, send)


def _facts(scope: Scope, raw: bytes) -> Facts:
    return Facts(
        method=scope["method"],
        scheme="https",
        host="gate.example.com",
        target=parse_target(raw, scope["query_string"]),
        client="192.0.2.7",
        kind=Kind.NAVIGATION,
    )


class Browser:
    """Keeps cookies, follows nothing by itself, sends what browsers send with a form."""

    def __init__(self, house: House, origin: str = ORIGIN) -> None:
        self.origin = origin
        transport = httpx.ASGITransport(app=house, raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url=origin)  # noqa: TID251 - a test's own

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A navigation."""
        return await self.http.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def post(
        self, path: str, fields: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A form of our own page, sent."""
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "origin": self.origin,
            "sec-fetch-site": "same-origin",
            **(headers or {}),
        }
        body = urlencode(fields)
        return await self.http.post(path, content=body, headers={k: v for k, v in sent.items() if v})

    async def sign_in(
        self, *, next: str = "/", login: str = ADA.login, password: str = GOOD_PASSWORD
    ) -> httpx.Response:
        """Open the sign-in page and send it."""
        page = await self.get("/_gate/login")
        return await self.post(
            "/_gate/login",
            {"csrf": hidden(page, "csrf"), "next": next, "login": login, "password": password},
        )


def hidden(page: httpx.Response, name: str) -> str:
    """The value of a hidden field."""
    match = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page.text)
    assert match is not None, f"no field {name} in {page.text}"
    return match[1]


def set_cookies(response: httpx.Response) -> list[str]:
    """The Set-Cookie lines of a response."""
    return response.headers.get_list("set-cookie")
