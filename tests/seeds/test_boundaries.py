"""Everything that ends by time ends at its very second, and no clock brings it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.seeds.client import Client
from tests.seeds.mailbox import link_in
from tests.seeds.place import DAY, HOUR, MINUTE, Place, StillClock, place
from tests.seeds.test_promises import LOGIN, SETTINGS, SPREAD, invited, recovery_link, unlock_link
from tests.seeds.walk import PASSWORD

MORE = "session: {remember_me: true}\n"
WITHOUT_SMTP = ", smtp: {host: 127.0.0.1, tls: none}"


def configured(folder: Path) -> Path:
    config = folder / "gatekeeper.yaml"
    config.write_text(SETTINGS.replace(", to_directory: .", WITHOUT_SMTP) + MORE)
    return config


@pytest.fixture
def still(tmp_path: Path, application: int) -> Iterator[Place]:
    """An installation whose clock stands still."""
    with place(configured(tmp_path), tmp_path / "gate", application, clock=StillClock()) as running:
        yield running


@pytest.fixture
def client(still: Place) -> Iterator[Client]:
    made = Client(still)
    yield made
    made.close()


def where(client: Client) -> str:
    """Where a page of the application leads, "" when it is shown."""
    return str(client.get("/").headers.get("location", ""))


def test_idle_and_longest_session(still: Place, client: Client) -> None:
    still.person(LOGIN, password=PASSWORD)
    client.sign_in(LOGIN, PASSWORD)
    still.clock.forward(15 * MINUTE - 1)
    assert where(client) == ""
    still.clock.forward(15 * MINUTE)
    assert where(client) == "/_gate/login?ended=idle"

    client.sign_in(LOGIN, PASSWORD)
    for _ in range(34):
        still.clock.forward(14 * MINUTE)
        assert where(client) == ""
    still.clock.forward(8 * HOUR - 34 * 14 * MINUTE - 1)
    assert where(client) == ""
    still.clock.forward(1)
    assert where(client) == "/_gate/login?ended=absolute"


def test_remembered_session(still: Place, client: Client) -> None:
    still.person(LOGIN, password=PASSWORD)
    client.send("/_gate/login", login=LOGIN, password=PASSWORD, remember="1")
    still.clock.forward(48 * HOUR - 1)
    assert where(client) == ""
    still.clock.forward(48 * HOUR)
    assert where(client) == "/_gate/login?ended=idle"


def test_half_finished_sign_in(still: Place, client: Client) -> None:
    still.authenticator(still.person(LOGIN, password=PASSWORD))
    client.sign_in(LOGIN, PASSWORD)
    still.clock.forward(10 * MINUTE - 1)
    assert client.get("/_gate/login/2fa").status_code == 200
    still.clock.forward(1)
    assert client.get("/_gate/login/2fa").headers["location"] == "/_gate/login?ended=unfinished"


def _recovery(still: Place, client: Client) -> str:
    still.person(LOGIN, password=PASSWORD)
    return recovery_link(still, client)


def _unlock(still: Place, client: Client) -> str:
    still.person(LOGIN, password=PASSWORD)
    return unlock_link(still, client)


def _invitation(still: Place, _client: Client) -> str:
    invited(still, LOGIN, password=False)
    return link_in(still.mailbox.take(LOGIN, "Your account for"))


@pytest.mark.parametrize(
    ("mailed", "lifetime", "gone"),
    [(_recovery, HOUR, SPREAD), (_unlock, DAY, 0.0), (_invitation, 7 * DAY, 0.0)],
    ids=["recovery", "unlock", "invitation"],
)
def test_mailed_links(
    still: Place, client: Client, mailed: Callable[[Place, Client], str], lifetime: float, gone: float
) -> None:
    """`gone` seconds of the link's `lifetime` are over when its mail comes."""
    link = mailed(still, client)
    still.clock.forward(lifetime - gone - 1)
    assert client.get(link).status_code == 200
    still.clock.forward(1)
    assert client.get(link).status_code == 410


def test_password_age(still: Place, client: Client) -> None:
    still.person(LOGIN, password=PASSWORD)
    for _ in range(3):
        still.clock.forward(30 * DAY - 1)
        assert client.sign_in(LOGIN, PASSWORD).headers["location"] == "/"
        client.send("/_gate/logout")
    still.clock.forward(2)
    assert client.sign_in(LOGIN, PASSWORD).headers["location"] == "/"
    client.send("/_gate/logout")
    still.clock.forward(1)
    assert client.sign_in(LOGIN, PASSWORD).headers["location"] == "/_gate/password"


def test_password_unused(still: Place, client: Client) -> None:
    still.person(LOGIN, password=PASSWORD)
    client.sign_in(LOGIN, PASSWORD)
    client.send("/_gate/logout")
    still.clock.forward(30 * DAY)
    assert client.sign_in(LOGIN, PASSWORD).headers["location"] == "/_gate/password"


def test_a_clock_set_back_revives_nothing(tmp_path: Path, application: int) -> None:
    with place(configured(tmp_path), tmp_path / "gate", application, steady=True) as running:
        running.person(LOGIN, password=PASSWORD)
        kept, seen_over, remembered = Client(running), Client(running), Client(running)
        kept.sign_in(LOGIN, PASSWORD)
        seen_over.sign_in(LOGIN, PASSWORD)
        remembered.send("/_gate/login", login=LOGIN, password=PASSWORD, remember="1")
        link = recovery_link(running, kept)
        running.clock.forward(49 * HOUR)
        assert where(seen_over) == "/_gate/login?ended=absolute"
        assert seen_over.get(link).status_code == 410
        running.clock.forward(-49 * HOUR)
        for client in (kept, seen_over, remembered):
            assert where(client).startswith("/_gate/login")
            assert client.get(link).status_code == 410
            client.close()
