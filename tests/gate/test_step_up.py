"""A rule asks for a second factor: who is led where, and what happens to what is open already."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.policy import NOBODY, Rule, make_allow, make_policy, make_rule
from gatekeeper.core.session import Session
from gatekeeper.core.target import parse_target
from gatekeeper.gate.live import LiveSockets
from tests.gate.test_shell import FETCH, NAVIGATE, ORIGIN, Bench, Guard, session_of

PROVED = 1000.0


def with_proof(session: Session, at: float, *, second_factor: bool = True) -> Session:
    return session._replace(
        record=session.record._replace(second_factor_at=at),
        user=session.user._replace(second_factor=second_factor),
    )


def rules() -> list[Rule]:
    return [
        make_rule("/admin/**", None, make_allow(roles=["ops"], two_factor=600.0)),
        make_rule("/off", None, NOBODY),
    ]


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def bench(now: float = PROVED) -> Bench:
    made = Bench(*rules(), clock=Clock(now))
    made.guard.known |= {
        b"ada": with_proof(session_of("ada", "ops"), PROVED),
        b"new": with_proof(session_of("new", "ops"), 0.0, second_factor=False),
        b"eve": with_proof(session_of("eve", "audit"), 0.0),
    }
    return made


def test_a_fresh_proof_lets_in_until_it_is_too_old() -> None:
    assert bench(PROVED + 599.9).ask("/admin/x", cookie="ada").status == 200
    late = bench(PROVED + 600.0)
    reply = late.ask("/admin/x?a=1&b=%2F", cookie="ada")
    assert reply.status == 303
    assert reply.headers["location"] == "/_gate/login/2fa?next=/admin/x%3Fa%3D1%26b%3D%252F&stepup=1"
    assert reply.headers["cache-control"] == "no-store"
    assert late.ask("/elsewhere", cookie="ada").status == 200
    assert [scope["path"] for scope in late.app.scopes] == ["/elsewhere"]
    assert [line.outcome for line in late.lines] == ["step_up", "allow"]


def test_who_has_none_is_led_to_setting_one_up() -> None:
    assert bench().ask("/admin", cookie="new").headers["location"] == "/_gate/2fa/setup?next=/admin"


def test_who_may_not_anyway_is_not_asked_for_a_code() -> None:
    assert bench().ask("/admin", cookie="eve").status == 403
    assert bench().ask("/off", cookie="ada").status == 403


@pytest.mark.parametrize(
    ("cookie", "page"), [("ada", "/_gate/login/2fa?stepup=1"), ("new", "/_gate/2fa/setup")]
)
def test_a_script_gets_a_401_that_says_so(cookie: str, page: str) -> None:
    late = bench(PROVED + 600.0)
    reply = late.ask("/admin/secret?token=1", cookie=cookie, headers=FETCH)
    content = json.loads(reply.body)
    assert (reply.status, content["error"]) == (401, "second_factor_required")
    assert content["sign_in"] == page
    assert content["request_id"] == late.lines[0].request_id
    assert late.ask("/admin/live", cookie=cookie, kind="websocket").status == 401
    assert late.app.scopes == []


def test_a_form_comes_back_to_the_page_that_it_was_on() -> None:
    headers = [*NAVIGATE, (b"referer", f"{ORIGIN}/admin/form?x=1".encode())]
    reply = bench(PROVED + 600.0).ask("/admin/save", cookie="ada", method="POST", headers=headers)
    assert reply.headers["location"] == "/_gate/login/2fa?next=/admin/form%3Fx%3D1&stepup=1"


@pytest.mark.parametrize(("now", "ends"), [(PROVED + 599.9, False), (PROVED + 600.0, True)])
def test_a_websocket_ends_when_its_proof_becomes_too_old(now: float, ends: bool) -> None:
    guard, clock = Guard(), Clock(PROVED)
    guard.known[b"ada"] = session = with_proof(session_of("ada", "ops"), PROVED)
    sockets = LiveSockets(guard, clock)
    target = parse_target(b"/admin/live", b"")
    facts = Facts("GET", "https", "office.example.com", target, "192.0.2.7", Kind.WEBSOCKET)
    ended: list[bool] = []
    end: Callable[[], None] = lambda: ended.append(True)  # noqa: E731
    sockets.watch(b"ada", session, facts, make_policy(rules()), end)
    clock.now = now
    asyncio.run(sockets.sweep())
    assert bool(ended) is ends
