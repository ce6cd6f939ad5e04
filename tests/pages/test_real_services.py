"""The pages on real accounts and sessions: an SQLite file, argon2, signed cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from gatekeeper.accounts.steps import make_next_step
from gatekeeper.audit.events import EventKind
from gatekeeper.core.context import Facts, Kind, RequestContext
from gatekeeper.core.cookies import find_cookie
from gatekeeper.core.protocols import ASGIApp, Receive, Scope, Send
from gatekeeper.core.session import Session, Timeouts
from gatekeeper.core.steps import StepPolicy
from gatekeeper.core.target import parse_target
from gatekeeper.pages.app import make_pages
from gatekeeper.pages.services import PageServices
from gatekeeper.sessions.invalidation import SqlInvalidations
from gatekeeper.sessions.manager import SessionManager
from gatekeeper.sessions.sql import SqlSessionStore
from tests.accounts.support import BY, LOGIN, PASSWORD, World, tell
from tests.pages.support import COOKIES, ORIGIN, SECRET, hidden


class Person:
    """Somebody with a browser, in front of real services."""

    def __init__(self, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN)  # noqa: TID251 - a test's own

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Open the page and send its form."""
        page = await self.http.get(path)
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
        return await self.http.post(path, data={"csrf": hidden(page, "csrf"), **fields}, headers=headers)


def _tell(folder: Path, story: Callable[[World, SessionManager, Person], Awaitable[None]]) -> None:
    async def with_pages(world: World) -> None:
        errors: list[BaseException] = []
        sessions = SessionManager(
            SqlSessionStore(world.db),
            world.users,
            secrets=[SECRET],
            timeouts=Timeouts(),
            next_step=make_next_step(StepPolicy()),
            headers_for=lambda user: (),
            clock=lambda: world.now,
            invalidations=SqlInvalidations(world.db, on_error=errors.append),
            on_error=errors.append,
        )
        pages = make_pages(
            PageServices(
                sign_in=world.sign_in,
                sessions=sessions,
                admin_link=world.link,
                audit=world.audit,
                secrets=[SECRET],
                cookies=COOKIES,
                public_origins=[ORIGIN],
                report=lambda error, request_id: errors.append(error),
                clock=lambda: world.now,
            )
        )

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            raw = scope["raw_path"].split(b"?")[0]
            target = parse_target(raw, scope["query_string"])
            facts = Facts(scope["method"], "https", "gate.example.com", target, "192.0.2.7", Kind.NAVIGATION)
            cookie = find_cookie(scope["headers"], COOKIES.session.encode())
            found = await sessions.load(cookie, world.now) if cookie else None
            session = found if isinstance(found, Session) else None
            scope["gatekeeper"] = RequestContext("req-1", facts, session=session)
            await pages(scope, receive, send)

        async with sessions:
            await story(world, sessions, Person(gate))
        assert errors == []

    tell(folder, with_pages)


def test_a_person_signs_in_and_out(tmp_path: Path) -> None:
    async def story(world: World, sessions: SessionManager, person: Person) -> None:
        user = await world.pat()
        answer = await person.send("/_gate/login", login=LOGIN.upper(), password=PASSWORD, next="/orders")
        assert (answer.status_code, answer.headers["location"]) == (303, "/orders")
        (record,) = await sessions.list(user.id)
        assert (record.methods, record.client) == ("pwd", "192.0.2.7")
        answer = await person.send("/_gate/logout")
        assert answer.headers["location"] == "/_gate/signed-out"
        assert await sessions.list(user.id) == []
        assert (await world.kinds())[-2:] == [EventKind.SIGN_IN_SUCCEEDED, EventKind.SIGNED_OUT]

    _tell(tmp_path, story)


def test_unknown_wrong_and_disabled_look_alike(tmp_path: Path) -> None:
    async def story(world: World, sessions: SessionManager, person: Person) -> None:
        user = await world.pat()
        bodies = set()
        for login, password in ((LOGIN, "wrong"), ("nobody@example.com", PASSWORD)):
            answer = await person.send("/_gate/login", login=login, password=password)
            bodies.add((answer.status_code, answer.text.replace(login, "LOGIN")))
        await world.users.set_disabled(user.id, True, by=BY)
        answer = await person.send("/_gate/login", login=LOGIN, password=PASSWORD)
        bodies.add((answer.status_code, answer.text.replace(LOGIN, "LOGIN")))
        assert len(bodies) == 1
        assert await sessions.list() == []

    _tell(tmp_path, story)


def test_the_administrator_link_works_once_and_mistakes_do_not_use_it_up(tmp_path: Path) -> None:
    async def story(world: World, sessions: SessionManager, person: Person) -> None:
        token = await world.link.issue()
        assert token is not None
        fields = {"token": token, "login": LOGIN, "name": "Pat", "email": LOGIN}
        weak = await person.send("/_gate/setup", **fields, password="short")
        assert weak.status_code == 422 and "Choose a longer password" in weak.text
        taken = await person.send("/_gate/setup", **{**fields, "login": ""}, password=PASSWORD)
        assert taken.status_code == 422 and 'id="login-err"' in taken.text
        made = await person.send("/_gate/setup", **fields, password=PASSWORD)
        assert (made.status_code, made.headers["location"]) == (303, "/")
        user = await world.users.find(LOGIN)
        assert user is not None and user.roles == ("gatekeeper-admin",)
        assert len(await sessions.list(user.id)) == 1
        again = await person.send("/_gate/setup", **{**fields, "login": "eve"}, password=PASSWORD)
        assert again.status_code == 422 and "This link was used already" in again.text
        assert await world.users.find("eve") is None

    _tell(tmp_path, story)
