"""One table of answers, and everything that answers: the decision, the ASGI shell, the server, forward auth.

A further runner is one line in RUNNERS: a context manager that yields a function from a case to its answer
(`Heard`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gatekeeper.build.applications import Behind
from gatekeeper.build.gate import make_gate_config
from gatekeeper.build.services import Services
from gatekeeper.build.values import make_cookie_names
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.explain import explain
from gatekeeper.core.policy import Outcome, Policy, decide
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.dialects import DIALECTS, Dialect
from gatekeeper.gate.forward_auth import SIGN_IN_HEADER
from gatekeeper.settings import Settings, make_settings
from tests.gate.test_shell import App, Bench
from tests.stack.answers import (
    BOOK_RULES,
    CODE,
    FOREIGN,
    HOST,
    LOGIN,
    MALFORMED,
    OLD,
    PASS,
    REFUSED,
    ROLES,
    RULES,
    WIKI,
    WIKI_RULES,
    Case,
    cases,
)
from tests.stack.whole import whole

NOW = 1_800_000_000.0
PROXY = "127.0.0.1"
CONFIGURATION: dict[str, Any] = {
    "public_url": f"https://{HOST}",
    "trusted_proxies": [PROXY],
    "two_factor": {"mode": "optional", "roles": ["newcomers"]},
    "session": {"idle_timeout": "1h"},
    "rules": RULES,
}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "application/json"}
_STATUSES = {400: MALFORMED, 403: REFUSED, 421: FOREIGN}


class Heard(NamedTuple):
    """What somebody got."""

    answer: str
    user: str = ""
    """Whom the application was told of, "nobody" for nobody; "" when it was not asked."""


Ask = Callable[[Case], Heard]
Runner = Callable[[Path, str], AbstractContextManager[Ask]]


def everybody() -> list[str]:
    """Everybody in the table who has a session."""
    return sorted({case.who for case in cases()} - {"nobody", "forged"})


def session_of(who: str) -> Session:
    """Somebody's session as the session manager would give it."""
    login, _, proof = who.partition("-")
    at = {"": 0.0, "old": NOW - OLD, "fresh": NOW}[proof]
    user = UserRecord(1, login, login.title(), "", tuple(ROLES[login]), False, 0)
    record = SessionRecord(b"k" * 32, 1, 0, NOW, NOW, False, "pwd", NOW, at, "", "")
    step = "second_factor_setup" if login == "half" else ""
    return Session(record, user, step, ((b"remote-user", login.encode()),))


def headers_of(case: Case, cookie: str) -> dict[str, str]:
    """What the proxy in front sends."""
    headers = {"Host": case.host, "X-Forwarded-For": case.client, **(SCRIPT if case.script else NAVIGATION)}
    return headers | ({"Cookie": cookie} if cookie else {})


def answer_of(case: Case, status: int, location: str, body: bytes) -> str:
    """The word for an answer over HTTP."""
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 303 and not case.script:
        page = location.partition("?")[0].removeprefix("/_gate/")
        return {"login": LOGIN, "login/2fa": CODE, "2fa/setup": CODE}.get(page, location)
    if status == 401 and case.script:
        error = json.loads(body)["error"]
        return {"unauthenticated": LOGIN, "session_unknown": LOGIN, "second_factor_required": CODE}[error]
    return PASS if status == 200 else str(status)


def applications(upstream: str) -> Any:
    """One has a host, one a path on it, one another host; `upstream` answers for all."""
    return [
        {"name": "office", "url": upstream},
        {"name": "books", "url": upstream, "at": "/books", "allow_in_path": "%2F", "rules": BOOK_RULES},
        {"name": "wiki", "url": upstream, "at": WIKI, "case_insensitive": True, "rules": WIKI_RULES},
    ]


def settings_in(folder: Path, upstream: str) -> Settings:
    return make_settings({**CONFIGURATION, "upstream": applications(upstream), "data_dir": str(folder)})


@contextlib.contextmanager
def decision(folder: Path, upstream: str) -> Iterator[Ask]:
    """`decide`, with the facts read by the functions that the gate uses."""
    config = make_gate_config(settings_in(folder, upstream))
    words = {
        Outcome.ALLOW: PASS,
        Outcome.SIGN_IN: LOGIN,
        Outcome.STEP_UP: CODE,
        Outcome.FORBIDDEN: REFUSED,
        Outcome.DENY: REFUSED,
    }

    def ask(case: Case) -> Heard:
        try:
            asked = facts_of(case, config)
        except RequestRejected as error:
            return Heard(_STATUSES[error.status])
        if asked is None:
            return Heard(FOREIGN)
        facts, policy = asked
        session = None if case.who in ("nobody", "forged") else session_of(case.who)
        outcome = decide(policy, facts, session, NOW).outcome
        return Heard(words[outcome], case.user if outcome is Outcome.ALLOW else "")

    yield ask


@contextlib.contextmanager
def shell(folder: Path, upstream: str) -> Iterator[Ask]:
    """The gate as an ASGI application, with stand-ins around it."""
    app = App()
    config = make_gate_config(settings_in(folder, upstream), [Behind(app)] * 3)
    bench = Bench(clock=lambda: NOW, config=config, app=app)
    bench.guard.known = {who.encode(): session_of(who) for who in everybody()}

    def ask(case: Case) -> Heard:
        bench.app.scopes.clear()
        cookie = "" if case.who == "nobody" else f"{config.cookies.session}={case.who}"
        headers = [
            (name.lower().encode(), value.encode())
            for name, value in headers_of(case, cookie).items()
            if name != "Host"
        ]
        reply = bench.ask(
            case.target, method=case.method, headers=headers, host=case.host.encode(), client=PROXY
        )
        answer = answer_of(case, reply.status, reply.headers.get("location", ""), reply.body)
        if not bench.app.scopes:
            return Heard(answer)
        return Heard(answer, dict(bench.app.scopes[0]["headers"]).get(b"remote-user", b"nobody").decode())

    yield ask


@contextlib.contextmanager
def server(folder: Path, upstream: str) -> Iterator[Ask]:
    """All of Gatekeeper over sockets, with accounts and sessions in its database."""
    with (
        serving(folder, upstream) as (port, cookies),
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
    ):

        def ask(case: Case) -> Heard:
            headers = headers_of(case, cookies[case.who])
            connection.putrequest(case.method, case.target, skip_host=True, skip_accept_encoding=True)
            if case.method in ("POST", "PUT"):
                headers["Content-Length"] = "0"
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
            answer = answer_of(case, response.status, response.getheader("location", ""), body)
            return Heard(answer, response.getheader("x-asked-by", ""))

        yield ask


@contextlib.contextmanager
def serving(folder: Path, upstream: str) -> Iterator[tuple[int, dict[str, str]]]:
    """A running Gatekeeper with everybody of the table: its port, and the Cookie headers by name."""
    clock = [NOW - OLD]
    settings = settings_in(folder, upstream)
    name = make_cookie_names(settings).session
    cookies = {"nobody": "", "forged": f"{name}=forged"}
    with whole(folder, applications(upstream), clock=lambda: clock[0], **CONFIGURATION) as gate:
        ids = {login: gate.add_user(login, *roles) for login, roles in ROLES.items()}

        async def start(login: str, proof: str, services: Services) -> str:
            _, value = await services.sessions.start(
                ids[login],
                methods="pwd",
                remembered=False,
                client=PROXY,
                user_agent="test",
                second_factor_at=clock[0] if proof else 0.0,
            )
            return value

        people = [(who, *who.partition("-")[::2]) for who in everybody()]
        for who, login, proof in sorted(people, key=lambda one: one[2] != "old"):
            clock[0] = NOW - OLD if proof == "old" else NOW
            cookies[who] = f"{name}={gate.call(partial(start, login, proof))}"
        yield gate.port, cookies


def forward_auth(dialect: Dialect) -> Runner:
    """What a proxy that speaks `dialect` is told, as it asks about the same requests."""

    @contextlib.contextmanager
    def asking(folder: Path, upstream: str) -> Iterator[Ask]:
        with (
            serving(folder, upstream) as (port, cookies),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
        ):
            yield lambda case: _asked(connection, dialect, case, cookies[case.who])

    return asking


def _asked(connection: http.client.HTTPConnection, dialect: Dialect, case: Case, cookie: str) -> Heard:
    headers = headers_of(case, cookie) | {dialect.scheme.decode(): "https"}
    if dialect.in_place:
        method, target = case.method, f"/_gate/auth/{dialect.name}{case.target}"
    else:
        method, target = "GET", f"/_gate/auth/{dialect.name}"
        said = {dialect.method: case.method, dialect.host: case.host, dialect.uri: case.target}
        headers |= {name.decode(): value for name, value in said.items()} | {"Host": HOST}
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    status = response.status
    location = response.getheader("location", "") or response.getheader(SIGN_IN_HEADER.decode(), "")
    host = WIKI if case.host.lower().startswith("wiki") else HOST
    place = location.removeprefix(f"https://{host}")
    if status == 200:
        return Heard(PASS, response.getheader("remote-user") or "nobody")
    if status == 403 and case.answer in (MALFORMED, FOREIGN):
        return Heard(case.answer)  # proxies know one refusal
    if status == 401 and case.script and not dialect.relays and case.answer in (LOGIN, CODE):
        return Heard(case.answer)  # and some nothing but the status
    redirected = status == 302 or (status == 401 and not dialect.relays)
    return Heard(answer_of(case, 303 if redirected and place else status, place, body))


RUNNERS: dict[str, Runner] = {
    "decision": decision,
    "shell": shell,
    "server": server,
    **{dialect.name: forward_auth(dialect) for dialect in DIALECTS},
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_everything_that_answers_gives_the_answer_of_the_table(
    runner: str, tmp_path: Path, echo: str
) -> None:
    with RUNNERS[runner](tmp_path, echo) as ask:
        differing = []
        for case in cases():
            heard = ask(case)
            if heard != Heard(case.answer, case.user if case.answer == PASS else ""):
                differing.append((case, heard))
    assert differing == []


def facts_of(case: Case, config: GateConfig) -> tuple[Facts, Policy] | None:
    """And the rules that they are judged by. None for a host that is not ours. Raises RequestRejected."""
    path, _, query = case.target.partition("?")
    host = config.hosts.find(case.host.encode())
    if host is None:
        return None
    target, application = config.target(host, path.encode(), query.encode())
    assert application is not None
    client = config.proxies.client(PROXY, [case.client.encode()])
    kind = Kind.BACKGROUND if case.script else Kind.NAVIGATION
    return Facts(case.method, "https", host, target, client, kind), application.policy


def test_the_table_is_large_says_nothing_twice_and_uses_every_rule(tmp_path: Path, echo: str) -> None:
    listed = list(cases())
    assert len(listed) >= 150
    assert len({case[:-1] for case in listed}) == len(listed)
    assert {case.answer for case in listed} == {PASS, LOGIN, CODE, REFUSED, MALFORMED, FOREIGN}
    config = make_gate_config(settings_in(tmp_path, echo))
    judged = [case for case in listed if case.answer not in (MALFORMED, FOREIGN)]
    asked = [found for case in judged if (found := facts_of(case, config)) is not None]
    for application, own in (("office", []), ("books", BOOK_RULES), ("wiki", WIKI_RULES)):
        of_it = [(facts, policy) for facts, policy in asked if policy.application == application]
        deciding = {decide(policy, facts, None, NOW).rule for facts, policy in of_it}
        assert deciding >= {None, *range(len(own))}
        if not own:  # those about another host and another port are there to be passed by
            assert {None, *range(len(RULES))} - deciding == {2, 3}


def test_explain_names_the_rule_that_decides(tmp_path: Path, echo: str) -> None:
    config = make_gate_config(settings_in(tmp_path, echo))
    for case in cases():
        asked = None if case.answer == MALFORMED else facts_of(case, config)
        if asked is not None:
            facts, policy = asked
            session = None if case.who in ("nobody", "forged", "half") else session_of(case.who)
            found = explain(policy, facts, session, NOW)
            hits = {verdict.number for verdict in found.verdicts if verdict.hit}  # in either reading
            assert hits == (set() if found.decision.rule is None else {found.decision.rule}), case
            assert all(verdict.why for verdict in found.verdicts)
