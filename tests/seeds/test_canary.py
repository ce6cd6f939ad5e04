"""No secret is found where it does not belong, whatever happens. ASVS 5.0 V14.2.1, V16.2.5.

People do everything there is to do, right, wrong, and with a database that breaks under their hands. All
secrets of the story are noted; afterwards they are looked for in everything that the story left behind.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import httpx
import pyotp
import pytest
import sqlalchemy as sa
import structlog

from gatekeeper.build.services import Services
from gatekeeper.telemetry import logs
from tests.seeds.client import Client
from tests.seeds.mailbox import link_in, password_in
from tests.seeds.place import BY, Place, place
from tests.seeds.test_promises import SETTINGS

LOGIN = "ada@example.com"
FIRST, SECOND, THIRD = (f"canary {bird} sings" for bird in ("yellow", "orange", "crimson"))
MISTYPED = "canary yelow sings"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?|\d{10}\.\d+|\b[0-9a-f]{16}\b")
"""Times and request ids, in which six digits mean nothing."""

_TOOLS = ("httpcore", "httpx", "mail.log")
"""What the test itself brings into this process, its client and its mail server, says what it carries."""


@dataclass
class Story:
    """What happened, and what must not be found."""

    place: Place
    log: io.StringIO
    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[httpx.Response] = field(default_factory=list)

    def note(self, name: str, secret: str) -> str:
        assert len(secret) >= 6
        self.secrets[name] = secret
        return secret

    def found_in(self, text: str) -> list[str]:
        text = unquote(_MOMENT.sub("", text)).replace("+", " ")
        return [name for name, secret in self.secrets.items() if secret in text]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level, as `gatekeeper serve` writes it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("debug", "json", stream)
    for tool in _TOOLS:
        monkeypatch.setattr(logging.getLogger(tool), "level", logging.WARNING)
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.fixture
def story(tmp_path: Path, application: int, logged: io.StringIO) -> Iterator[Story]:
    config = tmp_path / "gatekeeper.yaml"
    config.write_text(SETTINGS.replace(", to_directory: .", ", smtp: {host: 127.0.0.1, tls: none}"))
    folder = tmp_path / "gate"
    environ = {"GATEKEEPER_LOG__LEVEL": "debug"}
    with place(config, folder, application, environ) as running:
        told = Story(running, logged, folder)
        told.note("the secret", (folder / "secret").read_text().strip())
        yield told


class Person(Client):
    """Notes every cookie and form value that is worth stealing, and every answer."""

    def __init__(self, story: Story) -> None:
        super().__init__(story.place)
        self._story = story

    def _keep(self, response: httpx.Response) -> None:
        super()._keep(response)
        self._story.answers.append(response)
        for name, value in response.cookies.items():
            if len(value) > 20:
                self._story.note(f"cookie {name} {len(self._story.answers)}", value)


def token_of(story: Story, name: str, subject: str) -> str:
    """The link of the newest mail about `subject`; its token is noted."""
    link = link_in(story.place.mailbox.take(LOGIN, subject))
    story.note(name, unquote(link.partition("token=")[2]))
    return link


def come_in(story: Story, ada: Person) -> pyotp.TOTP:
    """Invited, with a generated password, a mistake at every step, and a second factor."""
    user = story.place.person(LOGIN)

    async def invite(services: Services) -> None:
        await services.invitations.invite(user.id, by=BY, password=True)

    story.place.call(invite)
    mail = story.place.mailbox.take(LOGIN, "Your account for")
    generated = story.note("generated password", password_in(mail))
    link = link_in(mail)
    story.note("invitation", unquote(link.partition("token=")[2]))
    ada.send(link)
    assert ada.get(link).status_code == 410
    story.note("mistyped password", MISTYPED)
    assert ada.sign_in(LOGIN, MISTYPED).status_code == 403
    assert ada.sign_in(MISTYPED, LOGIN).status_code == 403, "in the wrong field, as happens"
    assert ada.sign_in(LOGIN, generated).headers["location"] == "/_gate/password"
    story.note("first password", FIRST)
    ada.send("/_gate/password", new_password=FIRST, confirm_password=MISTYPED)
    assert ada.send("/_gate/password", new_password=FIRST, confirm_password=FIRST).headers["location"] == "/"
    return set_up(story, ada)


def set_up(story: Story, ada: Person) -> pyotp.TOTP:
    page = ada.send("/_gate/2fa/setup", password=FIRST).text
    proof = re.search(r'name="proof" value="([^"]+)"', page)
    assert proof is not None
    found = re.search(r'id="account-token"[^>]*>([A-Z2-7 ]+)<', page)
    assert found is not None
    story.note("account token in groups", found[1])
    app = pyotp.TOTP(story.note("account token", found[1].replace(" ", "")))
    code = story.note("first code", story.place.code(app))
    codes = ada.send("/_gate/2fa/setup", code=code, proof=proof[1])
    recovery = re.findall(r"<li><code>([^<]+)</code>", codes.text)
    assert len(recovery) == 10
    for number, each in enumerate(recovery):
        story.note(f"recovery code {number}", each)
    ada.send("/_gate/logout")
    assert ada.sign_in(LOGIN, FIRST).headers["location"] == "/_gate/login/2fa"
    ada.send("/_gate/login/2fa", code="000000")
    assert ada.send("/_gate/login/2fa", code=recovery[0]).headers["location"] == "/"
    ada.send("/_gate/logout")
    return app


def forget_and_lock(story: Story, ada: Person, app: pyotp.TOTP) -> None:
    for _ in range(2):  # a mailed link that is replaced, and one that is used
        ada.send("/_gate/forgot", login=LOGIN)
        link = token_of(story, f"recovery {len(story.secrets)}", "Reset password")
    story.note("second password", SECOND)
    ada.send(link, new_password="canary", confirm_password="canary")
    assert ada.send(link, new_password=SECOND, confirm_password=SECOND).status_code == 303
    assert ada.get(link).status_code == 410
    stranger = Person(story)
    for _ in range(5):
        stranger.sign_in(LOGIN, MISTYPED)
    stranger.close()
    link = token_of(story, "unlock", "locked")
    assert ada.send(link).status_code == 303
    assert ada.get(link).status_code == 410
    story.place.clock.forward(60)
    assert ada.sign_in(LOGIN, SECOND).headers["location"] == "/_gate/login/2fa"
    code = story.note("second code", story.place.code(app))
    assert ada.send("/_gate/login/2fa", code=code).headers["location"] == "/"


def break_everything(story: Story, ada: Person) -> None:
    """A fault in every page, and a database in which a table is missing."""

    def boom(*arguments: Any, **named: Any) -> NoReturn:
        held = (arguments, named)  # what a careless traceback would show
        raise RuntimeError(f"broken with {len(held)} things in hand")

    ada.send("/_gate/forgot", login=LOGIN)
    reset = token_of(story, "recovery at the end", "Reset password")
    story.note("third password", THIRD)
    services = story.place.call(_itself)
    for part, method, address, fields in (
        (services.sign_in, "password", "/_gate/login", {"login": LOGIN, "password": SECOND}),
        (services.recovery, "reset", reset, {"new_password": THIRD, "confirm_password": THIRD}),
        (services.recovery, "request", "/_gate/forgot", {"login": LOGIN}),
        (
            services.password_changes,
            "change",
            "/_gate/password",
            {"password": SECOND, "new_password": THIRD, "confirm_password": THIRD},
        ),
    ):
        person = Person(story) if address == "/_gate/login" else ada
        form = person.form(address)
        working = getattr(part, method)
        setattr(part, method, boom)
        answer = person.post(address, {**form, **fields})
        setattr(part, method, working)
        assert answer.status_code == 500 and "Internal server error" in answer.text, address
        if person is not ada:
            person.close()

    forms = [(reset, {"new_password": THIRD, "confirm_password": THIRD})]
    forms += [("/_gate/forgot", {"login": LOGIN}), ("/_gate/login", {"login": LOGIN, "password": SECOND})]
    other = Person(story)
    opened = [(address, {**other.form(address), **fields}) for address, fields in forms]
    for table in ("password_history", "outbox", "audit_events", "sessions", "tokens", "users"):
        story.place.call(partial(_drop, table))
        for address, sent in opened:
            other.post(address, sent)
            other.get(address)
    other.close()


async def _itself(services: Services) -> Services:
    return services


async def _drop(table: str, services: Services) -> None:
    async with services.db.begin() as conn:
        await conn.execute(sa.text(f"ALTER TABLE {table} RENAME TO {table}_gone"))


def test_no_secret_is_left_anywhere(story: Story) -> None:
    ada = Person(story)
    forget_and_lock(story, ada, come_in(story, ada))
    before = b"".join(path.read_bytes() for path in sorted(story.folder.glob("gatekeeper.db*")))
    break_everything(story, ada)
    ada.close()

    assert len(story.secrets) > 30
    everywhere = "".join(answer.text for answer in story.answers)
    assert {"account token in groups", "recovery code 9"} <= set(story.found_in(everywhere)), (
        "so they are found"
    )
    log = story.log.getvalue()
    assert '"event": "request"' in log and "RuntimeError" in log and "audit" in log
    assert story.found_in(log) == []
    assert "$argon2id$" not in log
    assert story.found_in(before.decode("latin-1")) == []
    after = b"".join(path.read_bytes() for path in sorted(story.folder.glob("gatekeeper.db*")))
    assert story.found_in(after.decode("latin-1")) == []

    links = {str(answer.request.url) for answer in story.answers if "token=" in str(answer.request.url)}
    passwords = {name for name in story.secrets if "password" in name}
    for answer in story.answers:
        address, text = str(answer.request.url), without_fields(answer.text)
        assert address in links or story.found_in(address) == []
        assert story.found_in(answer.headers.get("location", "")) == []
        assert answer.status_code < 400 or story.found_in(text) == [], address
        assert passwords.isdisjoint(story.found_in(text)), address


def without_fields(text: str) -> str:
    """A page without what it gives back to the form that it was sent: the link's token, and the login."""
    return re.sub(r'name="(token|csrf|login|next)"[^>]* value="[^"]*"', "", text)
