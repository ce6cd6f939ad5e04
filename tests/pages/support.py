"""A stand-in for the gate around the pages, and services that remember what was asked of them."""

from __future__ import annotations

import asyncio
import builtins
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx

from gatekeeper.accounts.errors import AccountError, InvalidCode, InvalidCredentials
from gatekeeper.accounts.federation import FederationRefused
from gatekeeper.accounts.kept_forms import Summary
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.audit.history import HistoryEvent
from gatekeeper.core.context import Facts, Kind, Refusal, RequestContext
from gatekeeper.core.cookies import CookieNames, find_cookie
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.session import EndReason, Session, SessionRecord, UserRecord
from gatekeeper.core.steps import StepPolicy, next_step
from gatekeeper.core.target import parse_target
from gatekeeper.factors import qr
from gatekeeper.pages.app import make_pages
from gatekeeper.pages.i18n import ENGLISH, Locale
from gatekeeper.pages.services import Branding, PageServices, Slide
from gatekeeper.pages.sso_services import ProviderServices, SignInProvider
from gatekeeper.providers.protocol import Claims
from gatekeeper.sessions.errors import SessionOver
from gatekeeper.sessions.tabs import Deadlines

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


class FakeAccounts:
    """The accounts as the services left them, by id; Ada is there from the beginning."""

    def __init__(self) -> None:
        self.by_id: dict[int, UserRecord] = {ADA.id: ADA}
        self.locked: set[int] = set()
        self.passwords: dict[int, str] = {ADA.id: GOOD_PASSWORD}

    def change(self, user_id: int = ADA.id, **facts: Any) -> UserRecord:
        """Another fact about an account."""
        self.by_id[user_id] = self.by_id[user_id]._replace(**facts)
        return self.by_id[user_id]


class FakeSignIn:
    """Knows the accounts; `fails_with` is raised instead of an answer."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self.accounts = accounts
        self.fails_with: Exception | None = None
        self.asked: list[tuple[str, str]] = []
        self.devices: list[str | None] = []
        self.completions: list[Session] = []
        self.locked_on_completion = False
        self.hold: threading.Event | None = None
        """When set, nobody gets an answer before the event."""

    async def password(
        self, login: str, password: str, *, device: str | None, client: str, request_id: str
    ) -> UserRecord:
        self.asked.append((client, request_id))
        self.devices.append(device)
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, 10)
        if self.fails_with is not None:
            raise self.fails_with
        for user in self.accounts.by_id.values():
            right = self.accounts.passwords.get(user.id) == password
            if login.strip().casefold() == user.login and right and user.id not in self.accounts.locked:
                return user
        raise InvalidCredentials

    async def completed(
        self, session: Session, *, device: str | None, client: str, user_agent: str, request_id: str
    ) -> str:
        if self.locked_on_completion:
            raise InvalidCredentials
        self.completions.append(session)
        return device or f"device-{len(self.completions)}"

    async def locked(self, user_id: int, device: str | None) -> bool:
        return user_id in self.accounts.locked


class FakeTabs:
    """The tabs of sessions are tested with the real thing (tests/script)."""

    def opened(self, session: Session, now: float) -> None:
        raise AssertionError("no page here has the script")

    seen = opened

    async def closed(self, session: Session, now: float) -> None:
        raise AssertionError("no page here has the script")

    def deadlines(self, session: Session) -> Deadlines:
        return Deadlines(None, session.record.created_at)


class FakeSessions:
    """Sessions by cookie value."""

    def __init__(self, accounts: FakeAccounts, clock: FakeClock, policy: StepPolicy) -> None:
        self.accounts = accounts
        self.clock = clock
        self.policy = policy
        self.live: dict[str, Session] = {}
        self.ended: list[tuple[Session, EndReason]] = []
        self.fails_with: Exception | None = None
        self._number = 0

    async def start(
        self,
        user_id: int,
        *,
        methods: str,
        remembered: bool,
        client: str,
        user_agent: str,
        second_factor_at: float = 0.0,
    ) -> tuple[Session, str]:
        if self.fails_with is not None:
            raise self.fails_with
        now = self.clock()
        record = SessionRecord(
            key=b"",
            user_id=user_id,
            epoch=0,
            created_at=now,
            last_seen_at=now,
            remembered=remembered,
            methods=methods,
            first_factor_at=now,
            second_factor_at=min(second_factor_at, now),
            client=client,
            user_agent=user_agent,
        )
        return self._put(record)

    async def step_up(
        self, session: Session, *, method: str = "", second_factor: bool = False
    ) -> tuple[Session, str]:
        value = self._value(session)
        record = self.live.pop(value).record._replace(
            methods=" ".join([*session.record.methods.split(), *method.split()])
        )
        if second_factor:
            record = record._replace(second_factor_at=self.clock())
        return self._put(record)

    def touch(self, session: Session, now: float) -> None:
        value = self._value(session)
        self.live[value] = session._replace(record=session.record._replace(last_seen_at=now))

    async def skip(self, session: Session, step: str) -> Session:
        value = self._value(session)
        record = self.live[value].record
        self.live[value] = self._made(record._replace(skipped=f"{record.skipped} {step}".strip()))
        return self.live[value]

    async def refresh(self, session: Session) -> Session:
        value = self._value(session)
        user = self.accounts.by_id.get(session.user.id)
        if user is None or user.disabled:
            raise SessionOver(EndReason.REVOKED)
        self.live[value] = self._made(self.live[value].record)
        return self.live[value]

    async def end(self, session: Session, reason: EndReason) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        key = session.record.key
        self.live = {value: live for value, live in self.live.items() if live.record.key != key}
        self.ended.append((session, reason))

    async def end_listed(self, user_id: int, public_id: str, reason: EndReason) -> None:
        for session in list(self.live.values()):
            if session.record.public_id == public_id and session.user.id == user_id:
                await self.end(session, reason)

    async def end_user(self, user_id: int, reason: EndReason, *, keep: bytes | None = None) -> None:
        for session in list(self.live.values()):
            if session.user.id == user_id and session.record.key != keep:
                await self.end(session, reason)

    async def list(self, user_id: int | None = None) -> builtins.list[SessionRecord]:
        return [
            live.record for live in self.live.values() if user_id in (None, live.user.id) and live.complete
        ]

    def _put(self, record: SessionRecord) -> tuple[Session, str]:
        self._number += 1
        value = f"session-{self._number}"
        self.live[value] = self._made(record._replace(key=f"{self._number:04}".encode().ljust(32, b".")))
        return self.live[value], value

    def _made(self, record: SessionRecord) -> Session:
        user = self.accounts.by_id.get(record.user_id) or self.accounts.by_id[ADA.id]._replace(
            id=record.user_id
        )
        return Session(record, user, next_step(record, user, self.policy).value, ())

    def _value(self, session: Session) -> str:
        for value, live in self.live.items():
            if live.record.key == session.record.key:
                return value
        raise SessionOver(EndReason.REPLACED)


class FakeSetup(NamedTuple):
    uri: str
    account: str
    groups: str


class FakeSecondFactors:
    """123456 is right, once more after 654321; recovery codes come in tens."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self.accounts = accounts
        self.code = "123456"
        self.recovery = ["ab12-cd34", "ef56-gh78"]
        self.trust_for: float | None = None
        self.trusted_devices: set[tuple[int, str]] = set()
        self.fails_with: Exception | None = None
        self.wrong = 0

    async def begin(self, user: UserRecord, *, session: bytes) -> FakeSetup:
        assert session, "it belongs to one session"
        return FakeSetup(
            "otpauth://totp/Back%20office:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=B",
            user.login,
            "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP",
        )

    async def confirm(self, user: UserRecord, code: str, *, by: Source, session: bytes) -> Sequence[str]:
        await self._check(user, code)
        self.accounts.change(user.id, second_factor=True)
        return [f"rc{number:02}-wxyz-k7mq-x2fp-9rtw-hv4c" for number in range(10)]

    async def verify(
        self, user: UserRecord, code: str, *, device: str | None, client: str, request_id: str
    ) -> str:
        if code.strip() in self.recovery:
            self.recovery.remove(code.strip())
            return "recovery"
        await self._check(user, code)
        return "otp"

    async def new_recovery_codes(self, user: UserRecord, by: Source) -> Sequence[str]:
        return [f"new{number:02}-wxyz" for number in range(10)]

    async def recovery_codes_left(self, user_id: int) -> int:
        return len(self.recovery)

    async def remove(self, user: UserRecord, by: Source, *, keep: bytes | None) -> None:
        self.accounts.change(user.id, second_factor=False)

    async def trust(self, user: UserRecord, device: str | None, *, by: Source | None = None) -> None:
        self.trusted_devices.add((user.id, device or ""))

    async def trusted(self, user: UserRecord, device: str | None) -> bool:
        return (user.id, device) in self.trusted_devices

    async def _check(self, user: UserRecord, code: str) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        if code.replace(" ", "") != self.code:
            self.wrong += 1
            if self.wrong >= 5:
                self.accounts.locked.add(user.id)
            raise InvalidCode


class FakePasswords:
    """Changes passwords; those shorter than 12 characters are refused."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self.accounts = accounts
        self.fails_with: Exception | None = None

    def least(self, user: UserRecord) -> int:
        return 12

    async def change(
        self,
        user: UserRecord,
        new: str,
        *,
        current: str | None,
        by: Source,
        keep: bytes | None,
        device: str | None,
    ) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        if current is not None and current != self.accounts.passwords[user.id]:
            raise InvalidCredentials
        self._judge(new)
        self.accounts.passwords[user.id] = new
        self.accounts.change(user.id, must_change="", password_changed_at=1_800_000_000.0)

    def _judge(self, new: str) -> None:
        if len(new) < 12:
            raise AccountError("bad_password", problems=["too_short", "common"], least=12)


class FakeLinks(FakePasswords):
    """Recovery, invitations and unlocking: one token for Ada, which works once."""

    def __init__(self, accounts: FakeAccounts) -> None:
        super().__init__(accounts)
        self.token = "mailed-token"
        self.enabled = True
        self.asked: list[str] = []
        self.used = 0

    async def request(self, login: str, *, client: str, request_id: str) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.asked.append(login)

    async def peek(self, token: str) -> UserRecord | None:
        return self.accounts.by_id[ADA.id] if token == self.token else None

    async def reset(self, token: str, new: str, *, client: str, request_id: str) -> UserRecord:
        user = await self._use(token, new)
        self.accounts.passwords[user.id] = new
        self.accounts.locked.discard(user.id)
        return user

    async def needs_password(self, token: str) -> bool:
        return token == self.token and ADA.id not in self.accounts.passwords

    async def accept(self, token: str, *, client: str, request_id: str) -> UserRecord | None:
        return await self._use(token) if token == self.token else None

    async def set_password(self, token: str, new: str, *, client: str, request_id: str) -> UserRecord:
        return await self.reset(token, new, client=client, request_id=request_id)

    async def unlock(self, token: str, *, client: str, request_id: str) -> UserRecord:
        user = await self._use(token)
        self.accounts.locked.discard(user.id)
        return user

    async def _use(self, token: str, new: str | None = None) -> UserRecord:
        user = await self.peek(token)
        if self.fails_with is not None:
            raise self.fails_with
        if user is None:
            raise AccountError("link_closed")
        if new is not None:
            self._judge(new)
        self.used += 1
        self.token = "used up"
        return user


class FakeFederation:
    """Finds people by their login alone; `fails_with` is raised instead."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self.accounts = accounts
        self.fails_with: Exception | None = None
        self.asked: list[tuple[Claims, str | None]] = []

    async def sign_in(
        self, claims: Claims, *, device: str | None, client: str, request_id: str
    ) -> UserRecord:
        self.asked.append((claims, device))
        if self.fails_with is not None:
            raise self.fails_with
        for user in self.accounts.by_id.values():
            if user.login == claims.login:
                return user
        raise FederationRefused(reason="unknown_user")


class FakeProviderFlows:
    """Each state once."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.fails_with: Exception | None = None

    async def use(
        self, state: str, *, provider: str, expires_at: float, client: str, request_id: str
    ) -> bool:
        if self.fails_with is not None:
            raise self.fails_with
        first = state not in self.used
        self.used.add(state)
        return first


class FakeWelcomes:
    def __init__(self, accounts: FakeAccounts) -> None:
        self.accounts = accounts

    async def seen(self, user_id: int) -> None:
        self.accounts.change(user_id, welcomed=True)


class FakeKeptForms:
    """Whoever asks gets all of them."""

    def __init__(self) -> None:
        self.forms: list[Summary] = []

    async def list(self, user_id: int, browser: str | None) -> Sequence[Summary]:
        return self.forms

    async def discard(self, key: str, user_id: int) -> None:
        self.forms = [form for form in self.forms if form.key != key]


class FakeHistory:
    """Two lines."""

    async def of(self, user_id: int, limit: int) -> Sequence[HistoryEvent]:
        return [
            HistoryEvent(1_800_000_000.0, "sign_in.succeeded", "192.0.2.7"),
            HistoryEvent(1_799_990_000.0, "sign_in.failed", "198.51.100.4"),
        ]


class FakeAdministratorLink:
    """One token that works once; what was redeemed is remembered."""

    def __init__(self) -> None:
        self.token = "the-token"
        self.redeemed: list[dict[str, str]] = []
        self.fails_with: Exception | None = None

    async def open(self) -> bool:
        return not self.redeemed

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

    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    link: FakeAdministratorLink = field(default_factory=FakeAdministratorLink)
    audit: FakeAudit = field(default_factory=FakeAudit)
    kept_forms: FakeKeptForms = field(default_factory=FakeKeptForms)
    clock: FakeClock = field(default_factory=FakeClock)
    policy: StepPolicy = field(default_factory=StepPolicy)
    remember_max: float | None = None
    slides: Sequence[Slide] = ()
    gone: EndReason | None = None
    """What the gate says of a session cookie that opens nothing."""
    reported: list[tuple[BaseException, str]] = field(default_factory=list)
    branding: Branding = field(default_factory=Branding)
    locale: Locale = ENGLISH
    cookies: CookieNames = COOKIES
    origins: tuple[str, ...] = (ORIGIN,)
    secrets: tuple[str, ...] = (SECRET,)
    prefix: str = "/_gate"
    templates_dir: Path | None = None
    providers: Sequence[SignInProvider] = ()
    local_passwords: bool = True
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """By path: what the gate wants shown instead of it."""
    unreadable: bool = False
    """Whether the target of the next requests could not be read, so that there are no facts."""
    pages: ASGIApp = field(init=False)
    sign_in: FakeSignIn = field(init=False)
    sessions: FakeSessions = field(init=False)
    second_factors: FakeSecondFactors = field(init=False)
    passwords: FakePasswords = field(init=False)
    links: FakeLinks = field(init=False)
    federation: FakeFederation = field(init=False)
    flows: FakeProviderFlows = field(init=False)

    def __post_init__(self) -> None:
        self.sign_in = FakeSignIn(self.accounts)
        self.sessions = FakeSessions(self.accounts, self.clock, self.policy)
        self.second_factors = FakeSecondFactors(self.accounts)
        self.passwords = FakePasswords(self.accounts)
        self.links = FakeLinks(self.accounts)
        self.federation = FakeFederation(self.accounts)
        self.flows = FakeProviderFlows()
        self.pages = make_pages(self.services())

    def services(self) -> PageServices:
        """What the pages are made of."""
        return PageServices(
            sign_in=self.sign_in,
            sessions=self.sessions,
            tabs=FakeTabs(),
            admin_link=self.link,
            second_factors=self.second_factors,
            passwords=self.passwords,
            recovery=self.links,
            unlocks=self.links,
            invitations=self.links,
            welcomes=FakeWelcomes(self.accounts),
            kept_forms=self.kept_forms,
            history=FakeHistory(),
            qr=qr.svg,
            sso=ProviderServices(self.providers, self.federation, self.flows),
            local_passwords=self.local_passwords,
            policy=self.policy,
            remember_max=self.remember_max,
            slides=self.slides,
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
        house = replace(self, secrets=secrets)
        house.sessions.live = self.sessions.live
        return house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cookie = find_cookie(scope["headers"], self.cookies.session.encode())
        session = self.sessions.live.get(cookie.decode()) if cookie else None
        path: str = scope["path"]
        raw = scope["raw_path"].split(b"?")[0]
        scope["gatekeeper"] = RequestContext(
            request_id="req-1",
            facts=None if self.unreadable else _facts(scope, raw),
            session=session,
            ended=self.gone if cookie and session is None else None,
            refusal=self.refusals.get(path),
        )
        await self.pages(scope, receive, send)


def _facts(scope: Scope, raw: bytes) -> Facts:
    return Facts(
        method=scope["method"],
        scheme="https",
        host=dict(scope["headers"])[b"host"].decode("ascii"),
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
