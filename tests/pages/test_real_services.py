"""The pages on the real services: an SQLite file, argon2, mails in a folder, the gate around it all."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pyotp

from gatekeeper.audit.events import EventKind, Source
from gatekeeper.build import Gatekeeper
from gatekeeper.build.services import Services
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.session import UserRecord
from gatekeeper.settings import make_settings
from gatekeeper.storage.tables import audit_events
from tests.pages.support import ORIGIN, SECRET, FakeClock, hidden

LOGIN = "pat@example.com"
PASSWORD = "violet tractor mumbles"
OTHER = "seven quiet harbours"
BY = Source("cli:test")


class Person:
    """Somebody with a browser, in front of real services."""

    def __init__(self, app: Gatekeeper) -> None:
        transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN)  # noqa: TID251 - a test's own

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers={"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"})

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Open the page and send its form to the same path."""
        page = await self.get(path)
        known = {"csrf": hidden(page, "csrf")}
        if 'name="token"' in page.text and "token" not in fields:
            known["token"] = hidden(page, "token")
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
        return await self.http.post(path.split("?")[0], data={**known, **fields}, headers=headers)

    async def send_saved(self, page: httpx.Response) -> httpx.Response:
        """Say that the recovery codes on `page` are in a safe place."""
        data = {"csrf": hidden(page, "csrf"), "next": hidden(page, "next"), "saved": "1"}
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
        return await self.http.post("/_gate/2fa/saved", data=data, headers=headers)


class Place:
    """A running Gatekeeper, its clock, and the folder that its mails go to."""

    def __init__(self, app: Gatekeeper, services: Services, clock: FakeClock, mails: Path) -> None:
        self.app = app
        self.services = services
        self.clock = clock
        self._mails = mails

    async def pat(self, **facts: Any) -> UserRecord:
        return await self.services.users.add(LOGIN, by=BY, email=LOGIN, **{"password": PASSWORD, **facts})

    async def link(self, page: str) -> str:
        """The path of the newest mailed link to `page`.

        A recovery mail waits a moment of its own choice, and then until the sender looks again.
        """
        self.clock.now += 5
        for _ in range(200):
            for path in sorted(self._mails.glob("*.eml"), reverse=True):
                text = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                body = text.get_body(("plain",))
                found = re.search(rf"{ORIGIN}(/_gate/{page}\?token=\S+)", body.get_content() if body else "")
                if found:
                    return found[1]
            await asyncio.sleep(0.05)
        raise AssertionError(f"no mail with a link to {page}")

    async def kinds(self) -> list[str]:
        async with self.services.db.read() as conn:
            rows = await conn.execute(audit_events.select().order_by(audit_events.c.id))
            return [row.kind for row in rows]


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    user = dict(scope["headers"]).get(b"remote-user", b"nobody")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"application for " + user})


def tell(folder: Path, story: Callable[[Place, Person], Awaitable[None]], **settings: Any) -> None:
    """Run a story with a Gatekeeper of its own."""
    mails = folder / "mails"
    mails.mkdir()

    async def main() -> None:
        clock = FakeClock()
        made = make_settings(
            {
                "public_url": ORIGIN,
                "data_dir": str(folder),
                "secret": SECRET,
                "mail": {"from": "gatekeeper@example.com", "to_directory": str(mails)},
                **settings,
            }
        )
        app = Gatekeeper(_application, made, clock=clock)
        async with app.running() as services:
            await story(Place(app, services, clock, mails), Person(app))

    asyncio.run(main())


def test_a_person_signs_in_and_out(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        user = await place.pat()
        answer = await person.send("/_gate/login", login=LOGIN.upper(), password=PASSWORD, next="/orders")
        assert (answer.status_code, answer.headers["location"]) == (303, "/orders")
        assert "_device=" in answer.headers["set-cookie"]
        assert (await person.get("/orders")).text == f"application for {LOGIN}"
        (record,) = await place.services.sessions.list(user.id)
        assert (record.methods, record.client) == ("pwd", "192.0.2.7")
        answer = await person.send("/_gate/logout")
        assert answer.headers["location"] == "/_gate/signed-out"
        assert await place.services.sessions.list(user.id) == []
        assert (await place.kinds())[-2:] == [EventKind.SIGN_IN_SUCCEEDED, EventKind.SIGNED_OUT]

    tell(tmp_path, story)


def test_unknown_wrong_locked_and_disabled_look_alike(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        user = await place.pat()
        bodies = set()
        for login, password in [(LOGIN, "wrong")] * 5 + [(LOGIN, PASSWORD), ("nobody@example.com", PASSWORD)]:
            answer = await person.send("/_gate/login", login=login, password=password)
            bodies.add((answer.status_code, answer.text.replace(login, "LOGIN")))
        await place.services.users.set_disabled(user.id, True, by=BY)
        answer = await person.send("/_gate/login", login=LOGIN, password=PASSWORD)
        bodies.add((answer.status_code, answer.text.replace(LOGIN, "LOGIN")))
        assert len(bodies) == 1
        assert await place.services.sessions.list() == []

    tell(tmp_path, story)


def test_a_locked_account_is_unlocked_by_the_button_of_the_mailed_page(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        await place.pat()
        for _ in range(5):
            await person.send("/_gate/login", login=LOGIN, password="wrong")
        link = await place.link("unlock")
        for _ in range(10):  # scanners and previews
            assert (await person.http.head(link)).status_code == 200
            assert "Unlock account" in (await person.get(link)).text
        assert (await person.send("/_gate/login", login=LOGIN, password=PASSWORD)).status_code == 403
        assert (await person.send(link)).headers["location"] == "/_gate/unlock?done=1"
        assert (await person.get(link)).status_code == 410
        assert (await person.send("/_gate/login", login=LOGIN, password=PASSWORD)).status_code == 303

    tell(tmp_path, story)


def test_a_forgotten_password_is_reset_by_mail_and_nobody_is_signed_in_by_that(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        user = await place.pat()
        known = await person.send("/_gate/forgot", login=LOGIN)
        unknown = await person.send("/_gate/forgot", login="nobody@example.com")
        assert known.headers["location"] == unknown.headers["location"] == "/_gate/forgot?sent=1"
        link = await place.link("reset")
        weak = await person.send(link, new_password="short", confirm_password="short")
        assert weak.status_code == 422 and "at least 12 characters" in weak.text
        same = await person.send(link, new_password=PASSWORD, confirm_password=PASSWORD)
        assert same.status_code == 422 and "This is your present password" in same.text
        done = await person.send(link, new_password=OTHER, confirm_password=OTHER)
        assert done.headers["location"] == "/_gate/reset?done=1"
        assert await place.services.sessions.list(user.id) == []
        assert "Password changed successfully" in (await person.get("/_gate/reset?done=1")).text
        assert (await person.get(link)).status_code == 410
        assert (await person.send("/_gate/login", login=LOGIN, password=OTHER)).status_code == 303

    tell(tmp_path, story)


def test_a_newcomer_comes_all_the_way(tmp_path: Path) -> None:
    """Invitation, password, second factor, welcome, application: each page leads to the next."""

    async def story(place: Place, person: Person) -> None:
        user = await place.pat(password=None)
        await place.services.invitations.invite(user.id, by=BY, password=False)
        link = await place.link("invite")
        answer = await person.send(link, new_password=PASSWORD, confirm_password=PASSWORD)
        assert answer.headers["location"] == "/_gate/login?ended=password_set"
        answer = await person.send("/_gate/login", login=LOGIN, password=PASSWORD, next="/orders?a=1")
        setup = answer.headers["location"]
        assert setup == "/_gate/2fa/setup?next=/orders%3Fa%3D1"
        assert (await person.get("/orders")).headers["location"].startswith("/_gate/login")
        assert (
            (await person.get("/_gate/login?next=/orders")).headers["location"].startswith("/_gate/2fa/setup")
        )
        page = await person.get(setup)
        again = await person.get(setup)
        groups = re.compile(r'<code id="account-token"[^>]*>([A-Z2-7 ]+)<')
        (key,) = groups.findall(page.text)
        assert [key] == groups.findall(again.text), "the same key on a reload and in another tab"
        code = pyotp.TOTP(key.replace(" ", "")).at(int(place.clock.now))
        codes = await person.send(setup, code=f"{code[:3]} {code[3:]}", next="/orders?a=1")
        assert len(re.findall(r"<li><code>", codes.text)) == 10
        answer = await person.send_saved(codes)
        assert answer.headers["location"] == "/_gate/welcome?next=/orders%3Fa%3D1"
        answer = await person.send("/_gate/welcome", next="/orders?a=1")
        assert answer.headers["location"] == "/orders?a=1"
        assert (await person.get("/orders?a=1")).text == f"application for {LOGIN}"
        await person.send("/_gate/logout")
        answer = await person.send("/_gate/login", login=LOGIN, password=PASSWORD)
        assert answer.headers["location"] == "/_gate/login/2fa"
        used = await person.send("/_gate/login/2fa", code=code)
        assert used.status_code == 403 and "was used already" in used.text
        place.clock.now += 30
        code = pyotp.TOTP(key.replace(" ", "")).at(int(place.clock.now))
        assert (await person.send("/_gate/login/2fa", code=code)).headers["location"] == "/"
        account = await person.get("/_gate/account")
        assert "10 recovery codes are left" in account.text and "This browser" in account.text

    tell(
        tmp_path,
        story,
        two_factor={"mode": "mandatory"},
        welcome=[{"title": "Welcome", "text": "Look around."}],
    )


def test_a_half_finished_sign_in_stops_when_the_account_is_locked_or_disabled(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        user = await place.pat()
        await person.send("/_gate/login", login=LOGIN, password=PASSWORD)
        assert (await person.get("/_gate/2fa/setup")).status_code == 200
        stranger = Person(place.app)
        stranger.http.cookies.clear()
        for _ in range(5):
            await stranger.send("/_gate/login", login=LOGIN, password="wrong")
        answer = await person.get("/_gate/2fa/setup")
        assert answer.headers["location"] == "/_gate/login?ended=locked"
        assert "This account is locked" in (await person.get(answer.headers["location"])).text
        async with place.services.db.begin() as conn:
            await place.services.lockout.unlock(conn, user.id, BY)
        await person.send("/_gate/login", login=LOGIN, password=PASSWORD)
        await place.services.users.set_disabled(user.id, True, by=BY)
        answer = await person.get("/_gate/2fa/setup")
        assert answer.headers["location"].startswith("/_gate/login")

    tell(tmp_path, story, two_factor={"mode": "mandatory"})


def test_a_half_finished_sign_in_ends_after_ten_minutes_and_says_so(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        await place.pat()
        await person.send("/_gate/login", login=LOGIN, password=PASSWORD, next="/orders")
        place.clock.now += 599
        assert (await person.get("/_gate/2fa/setup?next=/orders")).status_code == 200
        place.clock.now += 1
        answer = await person.get("/_gate/2fa/setup?next=/orders")
        assert answer.headers["location"] == "/_gate/login?next=/orders&ended=unfinished"
        page = await person.get(answer.headers["location"])
        assert "Your sign-in was not finished in time" in page.text

    tell(tmp_path, story, two_factor={"mode": "mandatory"})


def test_an_expired_password_is_changed_on_the_way_in(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        await place.pat()
        place.clock.now += 90 * 86_400
        answer = await person.send("/_gate/login", login=LOGIN, password=PASSWORD, next="/orders")
        assert answer.headers["location"] == "/_gate/password?next=/orders"
        page = await person.get(answer.headers["location"])
        assert "has expired: it must be changed every 90 days" in page.text
        answer = await person.send(
            "/_gate/password", new_password=OTHER, confirm_password=OTHER, next="/orders"
        )
        assert answer.headers["location"] == "/orders"
        assert (await person.get("/orders")).text == f"application for {LOGIN}"
        wrong = await person.send(
            "/_gate/password", password="wrong", new_password=PASSWORD, confirm_password=PASSWORD
        )
        assert wrong.status_code == 403 and "This is not your present password" in wrong.text

    tell(tmp_path, story)


def test_the_administrator_link_works_once_and_mistakes_do_not_use_it_up(tmp_path: Path) -> None:
    async def story(place: Place, person: Person) -> None:
        token = await place.services.admin_link.issue()
        assert token is not None
        fields = {"token": token, "login": LOGIN, "name": "Pat", "email": LOGIN}
        weak = await person.send("/_gate/setup", **fields, password="short")
        assert weak.status_code == 422 and "Choose a longer password" in weak.text
        taken = await person.send("/_gate/setup", **{**fields, "login": ""}, password=PASSWORD)
        assert taken.status_code == 422 and 'id="login-err"' in taken.text
        made = await person.send("/_gate/setup", **fields, password=PASSWORD)
        assert (made.status_code, made.headers["location"]) == (303, "/")
        user = await place.services.users.find(LOGIN)
        assert user is not None and user.roles == ("gatekeeper-admin",)
        assert len(await place.services.sessions.list(user.id)) == 1
        other = Person(place.app)
        over = await other.get("/_gate/setup")
        assert over.status_code == 410 and "This link does not work any more" in over.text
        fields |= {"csrf": hidden(await other.get("/_gate/login"), "csrf"), "login": "eve"}
        again = await other.http.post(
            "/_gate/setup", data={**fields, "password": PASSWORD}, headers={"origin": ORIGIN}
        )
        assert again.status_code == 422 and "This link was used already" in again.text
        assert await place.services.users.find("eve") is None

    tell(tmp_path, story)
