"""Two Gatekeepers with their sessions in Redis: one world for people, also while Redis is away."""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper.build.services import Services
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import EndReason
from tests.servers.faults import FaultProxy, fault_proxy
from tests.servers.postgres import PASSWORD as DATABASE_PASSWORD
from tests.servers.postgres import postgres
from tests.servers.redis import PASSWORD as STORE_PASSWORD
from tests.servers.redis import RedisServer
from tests.stack.test_outage import ask
from tests.stack.whole import PASSWORD, Whole, whole

SECRET = "the same one on every node: 0123456789abcdef"
IDLE = 600.0


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Nodes(NamedTuple):
    one: Whole
    two: Whole
    redis: FaultProxy
    clock: Clock


@contextlib.contextmanager
def nodes(folder: Path, upstream: str) -> Iterator[Nodes]:
    server, clock = RedisServer(), Clock()
    database: dict[str, Any] = {"database": postgres().new_database(), "database_password": DATABASE_PASSWORD}
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        redis = stack.enter_context(fault_proxy(server.port))
        store = {"store": f"redis://127.0.0.1:{redis.port}/0", "store_password": STORE_PASSWORD}
        session = {"idle_timeout": "10m", **store}
        made = [
            stack.enter_context(
                whole(folder / name, upstream, clock=clock, secret=SECRET, session=session, **database)
            )
            for name in ("one", "two")
        ]
        yield Nodes(made[0], made[1], redis, clock)


def sign_in(gate: Whole, login: str) -> str:
    """By the form, as a person does: the cookie."""
    status, page, cookie = ask(gate, "GET", "/_gate/login")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert status == 200 and csrf is not None
    form = {"csrf": csrf[1], "login": login, "password": PASSWORD, "next": "/"}
    connection = http.client.HTTPConnection(gate.host, timeout=20)
    with contextlib.closing(connection):
        body = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in form.items())
        headers = {"origin": f"http://{gate.host}", "cookie": cookie}
        headers["content-type"] = "application/x-www-form-urlencoded"
        connection.request("POST", "/_gate/login", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 303, answer.status
        for field in answer.headers.get_all("set-cookie", []):
            if field.startswith("gatekeeper="):
                return field.split(";")[0]
    raise AssertionError("no session")


class Answer(NamedTuple):
    status: int
    kind: str
    retry_after: str
    body: str
    seconds: float


def get(gate: Whole, path: str, cookie: str, *, navigating: bool = True) -> Answer:
    headers = {"cookie": cookie, "sec-fetch-site": "same-origin"}
    headers |= (
        {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}
        if navigating
        else {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "accept": "application/json"}
    )
    connection = http.client.HTTPConnection(gate.host, timeout=20)
    with contextlib.closing(connection):
        began = time.monotonic()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        took = time.monotonic() - began
        return Answer(
            answer.status,
            (answer.getheader("content-type") or "").split(";")[0],
            answer.getheader("retry-after") or "",
            body,
            took,
        )


def seconds_until(condition: Callable[[], bool], *, within: float) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within
        time.sleep(0.02)
    return time.monotonic() - began


def ending(user_id: int) -> Callable[[Services], Coroutine[Any, Any, bool]]:
    """Ends a user's sessions; False when Redis did not hear of it."""

    async def end(services: Services) -> bool:
        try:
            await services.sessions.end_user(user_id, EndReason.REVOKED)
        except StoreUnavailable:
            return False
        return True

    return end


def test_what_one_node_knows_of_sessions_the_other_knows(tmp_path: Path, echo: str) -> None:
    with nodes(tmp_path, echo) as here:
        pat = here.one.add_user("pat")
        cookie = sign_in(here.one, "pat")
        for gate in (here.one, here.two):
            assert get(gate, "/", cookie).status == 200
        assert here.one.call(ending(pat)) is True
        assert get(here.one, "/", cookie).status == 303
        took = seconds_until(lambda: get(here.two, "/", cookie).status == 303, within=10.0)
        assert took < 1.5, "a second, and what the machine takes for a request"


def test_while_redis_is_away_known_sessions_go_on_and_all_else_is_told_to_come_back(
    tmp_path: Path, echo: str
) -> None:
    with nodes(tmp_path, echo) as here:
        here.one.add_user("pat")
        sam = here.one.add_user("sam")
        known, gone = sign_in(here.one, "pat"), sign_in(here.one, "sam")
        for cookie in (known, gone):
            assert get(here.one, "/", cookie).status == 200
        here.redis.refuse()
        assert get(here.one, "/", known).status == 200, "remembered, and nobody ended it"

        page = get(here.two, "/", known)
        assert (page.status, page.kind) == (503, "text/html") and int(page.retry_after) > 0
        assert "cannot reach its own records" in page.body
        data = get(here.two, "/", known, navigating=False)
        assert (data.status, data.kind) == (503, "application/json") and int(data.retry_after) > 0
        assert max(page.seconds, data.seconds) < 3.0

        _, form, browser = ask(here.two, "GET", "/_gate/login")
        csrf = re.search(r'name="csrf" value="([^"]+)"', form)
        assert csrf is not None
        fields = {"csrf": csrf[1], "login": "pat", "password": PASSWORD, "next": "/"}
        status, said, _ = ask(here.two, "POST", "/_gate/login", fields, browser)
        assert status == 503 and "cannot reach its own records" in said

        # What ends a session is in the database: no node lets it in, whatever it remembers.
        assert here.two.call(ending(sam)) is False
        assert seconds_until(lambda: get(here.one, "/", gone).status == 503, within=10.0) < 4.0
        assert get(here.one, "/", known).status == 200

        here.redis.resume()
        seconds_until(lambda: get(here.one, "/", known).status == 200, within=10.0)
        seconds_until(lambda: get(here.two, "/", known).status == 200, within=10.0)
        for gate in (here.one, here.two):
            assert get(gate, "/", gone).status == 303, "it ended while Redis did not hear of it"
        assert sign_in(here.two, "sam")


def test_no_session_outlives_its_time_because_redis_is_away(tmp_path: Path, echo: str) -> None:
    with nodes(tmp_path, echo) as here:
        here.one.add_user("pat")
        cookie = sign_in(here.one, "pat")
        assert get(here.one, "/", cookie).status == 200
        here.redis.stall()
        assert get(here.one, "/", cookie).status == 200
        here.clock.ahead += IDLE + 1.0
        late = get(here.one, "/", cookie)
        assert late.status == 503 and late.seconds < 3.0, "only Redis knows whether another node saw activity"
        here.redis.resume()
        here.redis.cut()
        seconds_until(lambda: get(here.one, "/", cookie).status == 303, within=10.0)
