"""What holds under every configuration, tried over HTTP against the running server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gatekeeper.build.services import Services
from gatekeeper.core.session import UserRecord
from tests.seeds.client import Client
from tests.seeds.mailbox import link_in, text_of
from tests.seeds.place import BY, Place, place
from tests.seeds.walk import INVALID, OTHER, PASSWORD
from tests.servers.postgres import PASSWORD as POSTGRES_PASSWORD
from tests.servers.postgres import postgres

TIMES = 50
LOGIN = "adaada@example.com"
# Every login is as long as the others, so that lengths can be compared too.
LOGINS = {
    "known": LOGIN,
    "unknown": "nobody@example.com",
    "locked": "locked@example.com",
    "disabled": "closed@example.com",
    "without password": "fedfed@example.com",
}
SETTINGS = """
public_url: https://overridden.example.com
upstream: http://127.0.0.1:9
mail: {from: gatekeeper@example.com, to_directory: .}
two_factor: {mode: optional}
rate_limits:
  passwords: {client: unlimited, account: unlimited, total: unlimited}
  codes: {client: unlimited, account: unlimited, total: unlimited}
  mails: {client: unlimited, account: unlimited, total: unlimited}
"""

_PREFETCH = {"purpose": "prefetch", "sec-purpose": "prefetch;prerender"}

Newcomer = Callable[[], Client]


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path, application: int) -> Iterator[Place]:
    """An installation that limits no rates, so that the other defences stand alone."""
    environ = {}
    if getattr(request, "param", "") == "postgresql":
        environ = {
            "GATEKEEPER_DATABASE": postgres().new_database(),
            "GATEKEEPER_DATABASE_PASSWORD": POSTGRES_PASSWORD,
            "GATEKEEPER_SECRET": "the same one on every node: 0123456789abcdef",
        }
    config = tmp_path / "gatekeeper.yaml"
    config.write_text(SETTINGS.replace(", to_directory: .", ", smtp: {host: 127.0.0.1, tls: none}"))
    with place(config, tmp_path / "gate", application, environ) as running:
        yield running


on_both = pytest.mark.parametrize("house", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def newcomer(house: Place) -> Iterator[Newcomer]:
    """Makes browsers that were never here."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(house))
        return made[-1]

    yield make
    for client in made:
        client.close()


def invited(house: Place, login: str, *, password: bool) -> UserRecord:
    user = house.person(login)

    async def invite(services: Services) -> None:
        await services.invitations.invite(user.id, by=BY, password=password)

    house.call(invite)
    return user


SPREAD = 3.0
"""Seconds within which a recovery mail goes out, at a moment of its own choice."""


def recovery_link(house: Place, client: Client, login: str = LOGIN) -> str:
    client.send("/_gate/forgot", login=login)
    house.clock.forward(SPREAD)
    return link_in(house.mailbox.take(login, "Reset password"))


def unlock_link(house: Place, client: Client, login: str = LOGIN) -> str:
    for _ in range(5):
        client.sign_in(login, "wrong")
    return link_in(house.mailbox.take(login, "locked"))


# Nobody learns which accounts there are


@pytest.fixture
def five_logins(house: Place, newcomer: Newcomer) -> None:
    house.person(LOGINS["known"], password=PASSWORD)
    house.person(LOGINS["locked"], password=PASSWORD)
    house.person(LOGINS["without password"])
    closed = house.person(LOGINS["disabled"], password=PASSWORD)

    async def disable(services: Services) -> None:
        await services.users.set_disabled(closed.id, True, by=BY)

    house.call(disable)
    unlock_link(house, newcomer(), LOGINS["locked"])


def masked(answer: httpx.Response, *said: str) -> tuple[int, list[tuple[str, str]], str]:
    """What is left of an answer without what differs for everybody."""
    text = re.sub(r'name="csrf" value="[^"]*"', "CSRF", answer.text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "REQUEST-ID", text)
    for each in said:
        text = text.replace(each, "SAID")
    headers = [
        (name, "" if name == "date" else re.sub(r"_csrf=[^;]*", "_csrf=", value))
        for name, value in answer.headers.items()
    ]
    return answer.status_code, headers, text


@pytest.mark.usefixtures("five_logins")
def test_sign_in_answers_the_same_for_every_login(newcomer: Newcomer) -> None:
    seen = {name: masked(newcomer().sign_in(login, "wrong"), login) for name, login in LOGINS.items()}
    for name in ("locked", "disabled", "without password"):  # nor does the right password tell
        seen[f"{name}, right"] = masked(newcomer().sign_in(LOGINS[name], PASSWORD), LOGINS[name])
    assert seen["known"][0] == 403 and INVALID in seen["known"][2]
    assert [name for name in seen if seen[name] != seen["known"]] == []


@pytest.mark.usefixtures("five_logins")
def test_forgot_answers_the_same_for_every_login(house: Place, newcomer: Newcomer) -> None:
    seen = {}
    for name, login in LOGINS.items():
        client = newcomer()
        sent = client.send("/_gate/forgot", login=login)
        seen[name] = masked(sent), masked(client.get(sent.headers["location"]))
    assert seen["known"][0][0] == 303 and "is on its way" in seen["known"][1][2]
    assert [name for name in seen if seen[name] != seen["known"]] == []
    for name in ("known", "locked"):
        house.mailbox.take(LOGINS[name], "Reset password")
    assert house.mailbox.subjects().count("Reset password") == 2


@pytest.mark.usefixtures("five_logins")
def test_an_unlock_link_that_opens_nothing_does_not_say_why(house: Place, newcomer: Newcomer) -> None:
    ada = newcomer()
    links = {}
    links["used"] = unlock_link(house, ada, LOGINS["known"])
    ada.send(links["used"])
    links["replaced"] = unlock_link(house, ada, LOGINS["known"])
    ada.send(unlock_again := _unlock_by_operator_and_lock(house, ada))
    links["used too"] = unlock_again
    made_up = "A" * len(links["used"].partition("token=")[2])
    links["never one"] = f"{house.address}/_gate/unlock?token={made_up}"
    seen = {}
    for name, link in links.items():
        client = newcomer()
        token = link.partition("token=")[2]
        shown = client.get(link)
        csrf = client.form("/_gate/login")["csrf"]
        posted = client.post(link, {"csrf": csrf, "token": token})
        seen[name] = masked(shown, token), masked(posted, token)
    assert seen["used"][0][0] == seen["used"][1][0] == 410
    assert [name for name in seen if seen[name] != seen["used"]] == []


def _unlock_by_operator_and_lock(house: Place, client: Client) -> str:
    house.command("user", "unlock", LOGINS["known"])
    return unlock_link(house, client, LOGINS["known"])


# Once is once


def accepted(answers: list[httpx.Response], location: str) -> int:
    """How many were led on; all others were refused, or told to come back later."""
    assert {answer.status_code for answer in answers} <= {303, 403, 410, 422, 429, 503}
    led = [answer.headers["location"] for answer in answers if answer.status_code == 303]
    assert set(led) <= {location}
    return len(led)


def look_at(client: Client, link: str) -> None:
    """As mail scanners, previews and browsers do that fetch what may be clicked."""
    for _ in range(10):
        assert client.get(link).status_code == 200
        assert client.http.head(link).status_code == 200
        assert (
            client.get(link, purpose="prefetch", **{"sec-purpose": "prefetch;prerender"}).status_code == 200
        )


@on_both
def test_a_reset_link_works_once_however_often_it_was_looked_at(house: Place, newcomer: Newcomer) -> None:
    house.person(LOGIN, password=PASSWORD)
    ada = newcomer()
    link = recovery_link(house, ada)
    look_at(newcomer(), link)
    answers = ada.send_at_once(TIMES, link, new_password=OTHER, confirm_password=OTHER)
    assert accepted(answers, "/_gate/reset?done=1") == 1
    assert ada.get(link).status_code == 410
    assert ada.sign_in(LOGIN, OTHER).status_code == 303
    assert house.mailbox.take(LOGIN, "Your password was changed")
    assert house.mailbox.subjects().count("Your password was changed") == 1


@on_both
def test_an_invitation_to_choose_a_password_works_once(house: Place, newcomer: Newcomer) -> None:
    invited(house, LOGIN, password=False)
    ada = newcomer()
    link = link_in(house.mailbox.take(LOGIN, "Your account for"))
    look_at(newcomer(), link)
    answers = ada.send_at_once(TIMES, link, new_password=OTHER, confirm_password=OTHER)
    assert accepted(answers, "/_gate/login?ended=password_set") == 1
    assert ada.get(link).status_code == 410
    assert ada.sign_in(LOGIN, OTHER).status_code == 303


@on_both
def test_an_invitation_with_a_password_works_once(house: Place, newcomer: Newcomer) -> None:
    invited(house, LOGIN, password=True)
    ada = newcomer()
    link = link_in(house.mailbox.take(LOGIN, "Your account for"))
    look_at(newcomer(), link)
    assert accepted(ada.send_at_once(TIMES, link), "/_gate/login") == 1
    assert ada.get(link).status_code == 410


@on_both
def test_an_unlock_link_works_once(house: Place, newcomer: Newcomer) -> None:
    house.person(LOGIN, password=PASSWORD)
    ada = newcomer()
    link = unlock_link(house, newcomer())
    look_at(newcomer(), link)
    assert ada.sign_in(LOGIN, PASSWORD).status_code == 403
    assert accepted(ada.send_at_once(TIMES, link), "/_gate/unlock?done=1") == 1
    assert ada.get(link).status_code == 410
    assert ada.sign_in(LOGIN, PASSWORD).status_code == 303


@on_both
def test_a_recovery_code_and_a_token_of_the_app_work_once(house: Place, newcomer: Newcomer) -> None:
    user = house.person(LOGIN, password=PASSWORD)
    app = house.authenticator(user)

    async def renew(services: Services) -> str:
        return (await services.second_factors.new_recovery_codes(user, BY))[0]

    async def unlock(services: Services) -> None:
        async with services.db.begin() as conn:
            await services.lockout.unlock(conn, user.id, BY)

    for code in (house.call(renew), house.code(app)):
        ada = newcomer()
        assert ada.sign_in(LOGIN, PASSWORD).headers["location"] == "/_gate/login/2fa"
        assert accepted(ada.send_at_once(TIMES, "/_gate/login/2fa", code=code), "/") == 1
        assert ada.signed_in()
        house.call(unlock)  # those that came after the one counted, and may have been enough
        other = newcomer()
        other.sign_in(LOGIN, PASSWORD)
        assert other.send("/_gate/login/2fa", code=code).status_code == 403
        assert not other.signed_in()


# Nothing opens more than it should


def test_a_reset_does_not_skip_the_second_factor(house: Place, newcomer: Newcomer) -> None:
    app = house.authenticator(house.person(LOGIN, password=PASSWORD))
    ada = newcomer()
    done = ada.send(recovery_link(house, ada), new_password=OTHER, confirm_password=OTHER)
    assert done.headers["location"] == "/_gate/reset?done=1"
    assert not ada.signed_in()
    assert ada.sign_in(LOGIN, OTHER).headers["location"] == "/_gate/login/2fa"
    assert not ada.signed_in()
    assert ada.get("/_gate/account").headers["location"].startswith("/_gate/login/2fa")
    assert ada.send("/_gate/login/2fa", code=house.code(app)).headers["location"] == "/"
    assert ada.signed_in()


@on_both
def test_a_password_change_ends_the_other_sessions(house: Place, newcomer: Newcomer) -> None:
    house.person(LOGIN, password=PASSWORD)
    here, there, half = newcomer(), newcomer(), newcomer()
    for client in (here, there):
        client.sign_in(LOGIN, PASSWORD)
        assert client.signed_in()
    changed = here.send(
        "/_gate/password", password=PASSWORD, new_password=OTHER, confirm_password=OTHER, next="/"
    )
    assert changed.status_code == 200 and "Password changed successfully" in changed.text
    assert here.signed_in()
    ended = there.get("/")
    assert ended.headers["location"] == "/_gate/login?ended=revoked"
    assert half.sign_in(LOGIN, PASSWORD).status_code == 403
    house.mailbox.take(LOGIN, "Your password was changed")


def test_a_reset_ends_every_session(house: Place, newcomer: Newcomer) -> None:
    house.person(LOGIN, password=PASSWORD)
    ada, thief = newcomer(), newcomer()
    thief.sign_in(LOGIN, PASSWORD)
    assert thief.signed_in()
    ada.send(recovery_link(house, ada), new_password=OTHER, confirm_password=OTHER)
    assert not thief.signed_in()


def test_the_owner_signs_in_from_a_known_browser_while_a_stranger_keeps_guessing(
    house: Place, newcomer: Newcomer
) -> None:
    app = house.authenticator(house.person(LOGIN, password=PASSWORD))
    ada, stranger = newcomer(), newcomer()

    def guess(times: int) -> None:
        for _ in range(times):
            assert stranger.sign_in(LOGIN, "a guess").status_code == 403

    ada.sign_in(LOGIN, PASSWORD)
    ada.send("/_gate/login/2fa", code=house.code(app))
    ada.send("/_gate/logout")
    guess(7)
    assert newcomer().sign_in(LOGIN, PASSWORD).status_code == 403, "the account is locked for strangers"
    house.clock.forward(60)
    assert ada.sign_in(LOGIN, PASSWORD).headers["location"] == "/_gate/login/2fa"
    guess(7)  # in the middle of the sign-in
    assert ada.send("/_gate/login/2fa", code=house.code(app)).headers["location"] == "/"
    assert ada.signed_in()
    guess(1)
    assert ada.signed_in()
    assert "unlock" in text_of(house.mailbox.take(LOGIN, "locked")).lower()
    assert house.mailbox.subjects().count("Your account is locked") == 1
