"""auth_request with a cache: positive answers are kept for a moment, and each is for one question alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx.support import FETCH, Site, head_of, nginx_site
from tests.wall.recording import Recording, recording


@pytest.fixture(scope="module")
def application() -> Iterator[Recording]:
    with recording() as found:
        yield found


@pytest.fixture(scope="module")
def site(application: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("cached")
    with nginx_site(folder, "auth-request-cached", application.port) as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_arrived(application: Recording) -> None:
    application.clear()


def kept(site: Site) -> list[bytes]:
    """Keys and heads of the answers in nginx's cache."""
    return [path.read_bytes() for path in (site.folder / "cache").rglob("*") if path.is_file()]


def test_a_yes_is_kept_and_a_no_never(site: Site) -> None:
    ada = site.person("ada", "payments")
    for target in ("/kept", "/denied/kept"):
        for cookie in (ada, "gatekeeper=stale", ""):
            site.ask(target, cookie=cookie)
            site.ask(target, FETCH, cookie=cookie)
    found = kept(site)
    assert [b" /kept " in answer and b"__Host-gatekeeper" in answer for answer in found] == [True]
    assert not any(b"HTTP/1.1 40" in answer for answer in found)


def test_a_kept_answer_is_used_and_not_for_long(site: Site) -> None:
    ada = site.person("ada", "payments")
    log = site.folder / "asked.log"
    before = len(log.read_text())
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert site.ask("/used", cookie=ada).status == 200
    said = log.read_text()[before:].split("\n")
    asked, used = said.count("/_gate/auth/nginx MISS"), said.count("/_gate/auth/nginx HIT")
    asked += said.count("/_gate/auth/nginx EXPIRED")
    assert 2 <= asked <= 4
    assert used >= 5 * asked


@pytest.mark.parametrize("first", ["ada", "eve", ""])
def test_nobody_gets_anothers_answer(site: Site, application: Recording, first: str) -> None:
    cookies = {"ada": site.person("ada", "payments"), "eve": site.person("eve", "audit"), "": ""}
    order = [first, *(who for who in cookies if who != first)] * 10
    for who in order:
        application.clear()
        answer = site.ask("/page", cookie=cookies[who])
        assert answer.status == (200 if who else 303)
        seen = [head_of(arrived.head).get("remote-user") for arrived in application.arrived]
        assert seen == ([[who]] if who else [])


def test_many_at_once_each_get_their_own(site: Site, application: Recording) -> None:
    logins = [f"user{number}" for number in range(6)]
    cookies = {login: f"{site.person(login)}; mine={login}" for login in logins}
    wrong: list[object] = []

    def ask(login: str) -> None:
        wrong.extend(n for n in range(15) if site.ask("/crowd", cookie=cookies[login]).status != 200)

    threads = [threading.Thread(target=ask, args=(login,)) for login in logins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    heads = [head_of(arrived.head) for arrived in application.arrived]
    assert len(heads) == 15 * len(logins)
    assert all(head["cookie"] == [f"mine={head['remote-user'][0]}"] for head in heads)


def test_the_method_the_query_and_the_other_cookies_are_part_of_the_question(
    site: Site, application: Recording
) -> None:
    eve = site.person("eve", "audit")
    assert site.ask("/payments/2", cookie=eve).status == 200
    assert site.ask("/payments/2", cookie=eve, method="POST", body=b"a").status == 403
    assert site.ask("/payments/2", cookie=eve, method="DELETE").status == 403
    application.clear()
    for mine in ("a=1", "a=2"):
        assert site.ask("/payments/2", cookie=f"{eve}; {mine}").status == 200
    assert [head_of(arrived.head)["cookie"] for arrived in application.arrived] == [["a=1"], ["a=2"]]


def test_a_cookie_that_one_has_not_opens_nothing_that_was_kept(site: Site, application: Recording) -> None:
    ada = site.person("ada", "payments")
    assert site.ask("/mine", cookie=ada).status == 200
    application.clear()
    for cookie in (ada[:-1], ada + "x", ada.replace("__Host-", ""), f"x={ada}", f"{ada}; {ada}x"):
        assert site.ask("/mine", cookie=cookie).status == 303, cookie
    assert application.arrived == []


def test_the_cache_is_nginxs_alone(site: Site) -> None:
    folder: Path = site.folder / "cache"
    assert folder.stat().st_mode & 0o077 == 0
