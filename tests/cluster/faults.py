"""One fault under load, and what must hold whatever the fault is."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx

from tests.cluster.cluster import Cluster, Node
from tests.cluster.conftest import PEOPLE
from tests.cluster.traffic import Shortage, Traffic, traffic, until
from tests.seeds.client import Client
from tests.seeds.mailbox import link_in
from tests.stack.whole import PASSWORD

NOTICE = 2.0
"""Seconds after which a revocation holds everywhere. Promised is 1 s; tests run on busy machines."""

_numbers = itertools.count(1)


class Felt(NamedTuple):
    """What people saw of a fault."""

    seen: Traffic
    shortage: Shortage
    healed: float
    """Seconds from the mending until every node served everybody."""


class Ended:
    """Cookies that must not be let in any more, offered to every node again and again."""

    def __init__(self, cluster: Cluster) -> None:
        self.offers = 0
        self.let_in: list[tuple[str, float]] = []
        """Who was let in, and how many seconds too late."""
        self._cluster = cluster
        self._dead: dict[str, tuple[str, float]] = {}
        self._stop = threading.Event()

    def add(self, login: str, cookie: str, *, notice: float = 0.0) -> None:
        """From `notice` seconds from now on."""
        self._dead = {**self._dead, login: (cookie, time.monotonic() + notice)}

    def offer(self, node: Node) -> None:
        while not self._stop.wait(0.05):
            for login, (cookie, since) in self._dead.items():
                asked_at = time.monotonic()
                status, _ = self._cluster.ask("/page", cookie, node=node)
                self.offers += 1
                if status == 200 and asked_at > since:
                    self.let_in.append((login, asked_at - since))

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def offered(cluster: Cluster) -> Iterator[Ended]:
    ended = Ended(cluster)
    threads = [threading.Thread(target=ended.offer, args=(node,), daemon=True) for node in cluster.nodes]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        ended.stop()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


def fault(
    cluster: Cluster,
    break_it: Callable[[], object],
    mend_it: Callable[[], object],
    *,
    seconds: float,
    during: Callable[[Ended], object] = lambda _: None,
) -> Felt:
    """Break, wait, mend, wait until it has healed; no ended session is let in meanwhile, no link works twice.

    Just before the fault one person signs out, and another one uses a link for a new password.
    """
    cookies = {login: cluster.sign_in(login) for login in PEOPLE}
    used = UsedLink(cluster)
    with offered(cluster) as ended, traffic(cluster, cookies) as seen:
        ended.add("reset", used.cookie, notice=NOTICE)
        time.sleep(1.0)
        ended.add("out", sign_out(cluster, "out"), notice=NOTICE)
        began = time.monotonic()
        break_it()
        during(ended)
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        mend_it()
        healed = until("everybody is served everywhere", lambda: all_served(cluster, cookies), 30)
        time.sleep(NOTICE)
    assert ended.offers > 20 and ended.let_in == []
    assert seen.strangers() == []
    used.check()
    return Felt(seen, seen.shortage(began), healed)


def all_served(cluster: Cluster, cookies: dict[str, str]) -> bool:
    return all(
        cluster.ask("/page", cookie, node=node)[0] == 200
        for node in cluster.nodes
        for cookie in cookies.values()
    )


def sign_out(cluster: Cluster, login: str) -> str:
    """Sign in and out again; the cookie that is worth nothing any more."""
    with person(cluster) as somebody:
        assert somebody.sign_in(login, PASSWORD).status_code == 303
        cookie = f"gatekeeper={somebody.http.cookies['gatekeeper']}"
        assert cluster.ask("/page", cookie)[0] == 200
        assert somebody.send("/_gate/logout").status_code == 303
    return cookie


class UsedLink:
    """A link for a new password that was used; and a session that this ended."""

    def __init__(self, cluster: Cluster) -> None:
        login = f"new{next(_numbers)}"
        cluster.add_user(login)
        self.cookie = cluster.sign_in(login)
        self._browser = Client(cluster)
        self._browser.send("/_gate/forgot", login=login)
        self._link = link_in(cluster.mailbox.take(f"{login}@example.com", "assword"))
        self._form = self._browser.form(self._link)
        assert self._send("and one more").status_code == 303

    def check(self) -> None:
        """It opens nothing any more, even with the form that was filled in before."""
        assert 'name="new_password"' not in self._browser.get(self._link).text
        assert self._send("and yet another").status_code != 303
        self._browser.close()

    def _send(self, more: str) -> httpx.Response:
        new = f"{PASSWORD} {more}"
        return self._browser.post(self._link, {**self._form, "new_password": new, "confirm_password": new})


@contextlib.contextmanager
def person(cluster: Cluster) -> Iterator[Client]:
    somebody = Client(cluster)
    try:
        yield somebody
    finally:
        somebody.close()
