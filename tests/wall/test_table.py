"""Every hostile request through the whole of Gatekeeper: the client's answer, the exact bytes behind it."""

from __future__ import annotations

import re
import socket
import time

import pytest

from tests.server.cases import CASES, GROUPS, HOST, Case, Reached, get
from tests.server.wire import Answer, read_answers
from tests.wall import forgeries, oracle
from tests.wall.conftest import Wall

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: " + HOST + b"\r\nConnection: close\r\n\r\n"
REQUEST_LINE = re.compile(rb"[A-Z]+ (?!/admin)\S+ HTTP/1\.[01]\r\n")
"""Of every request in a case; what hides in bodies asks for /admin."""
ADA = (b"remote-user: ada", b"remote-name: Ada", b"remote-groups: boss", b"x-gatekeeper-assertion: SIGNED")
ALL = [*CASES, *forgeries.FORGERIES]

every_case = pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def cookie(guarded: Wall) -> bytes:
    """The Cookie header of a signed-in user."""
    return guarded.gate.cookie(guarded.gate.add_user("ada", "boss")).encode()


def test_the_table_is_large_and_its_names_are_unique() -> None:
    names = [case.name for case in ALL]
    assert len(names) > 500
    assert len(set(names)) == len(names)
    assert all(GROUPS.values())


def signed_in(sent: bytes, cookie: bytes, count: int = 0) -> bytes:
    """With the cookie in each request, or in the first `count`."""
    return REQUEST_LINE.sub(lambda line: line[0] + b"Cookie: " + cookie + b"\r\n", sent, count=count)


def talk(wall: Wall, case: Case, sent: bytes, sentinel: bytes) -> tuple[tuple[int, ...], list[Answer]]:
    """Send a case on its own connection, see how that is left; (statuses, answers)."""
    heads = any(reached.method == "HEAD" for reached in case.reaches)
    with socket.create_connection(("127.0.0.1", wall.gate.port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(sent)
        if case.after == "closed":
            answers, _ = read_answers(client, None)
        elif heads:
            answers = [Answer(int(client.recv(65536).split(b" ")[1]), [], b"")]
        else:
            answers, _ = read_answers(client, len(case.statuses))
        if case.after == "waiting":
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
        elif case.after == "open":
            client.sendall(sentinel)
            last, _ = read_answers(client, None)
            assert len(last) == 1, "the connection is out of step"
    return tuple(answer.status for answer in answers), answers


def check_arrived(wall: Wall, case: Case, expected: list[tuple[bytes, bytes]]) -> None:
    arrived = [request for request in wall.application.arrived if request.target != b"/sentinel"]
    assert [oracle.comparable(request) for request in arrived] == expected
    for request, reached in zip(arrived, case.reaches, strict=True):
        # Against the table itself too: the oracle reads the same bytes as the gate, the table was written.
        method, target, _ = request.head.split(b"\r\n")[0].split(b" ")
        assert (method.decode(), target, request.body) == (reached.method, reached.target, reached.body)
        names = {line.split(b":")[0] for line in request.head.split(b"\r\n")[1:] if line not in ADA}
        assert not names & set(reached.lacks)
        if b"\r\ntransfer-encoding: chunked\r\n" not in request.head:
            assert request.framed == request.body
    assert wall.application.broken == []


@every_case
def test_on_a_public_path(public: Wall, case: Case) -> None:
    public.application.clear()
    statuses, _ = talk(public, case, case.sent, SENTINEL)
    if case.gate is not None:
        assert statuses == case.gate
        check_arrived(public, without_reaching(case), [])
        return
    assert statuses == case.statuses
    check_arrived(public, case, oracle.expected(case.sent, len(case.reaches)))


@every_case
def test_on_a_protected_path_by_somebody_signed_in(guarded: Wall, cookie: bytes, case: Case) -> None:
    guarded.application.clear()
    # Where the next request is to be a body's part, it must stay shorter than the length says.
    sent = signed_in(case.sent, cookie, count=1 if case.after == "waiting" else 0)
    statuses, _ = talk(guarded, case, sent, signed_in(SENTINEL, cookie))
    if case.gate is not None:
        assert statuses == case.gate
        check_arrived(guarded, without_reaching(case), [])
        return
    assert statuses == case.statuses
    check_arrived(guarded, case, oracle.expected(sent, len(case.reaches), ADA))


@every_case
def test_on_a_protected_path_by_nobody(guarded: Wall, case: Case) -> None:
    """Nothing at all reaches the application, and no answer is a pass.

    Whether a body is found broken before its request is answered 401 is left to the scheduler.
    """
    guarded.application.clear()
    with socket.create_connection(("127.0.0.1", guarded.gate.port), 10) as client:
        client.sendall(case.sent)
        if case.after == "open":
            client.sendall(SENTINEL)
        elif case.after == "waiting":
            client.shutdown(socket.SHUT_WR)
        raw = b""
        while piece := client.recv(65536):
            raw += piece
    statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", raw)}
    assert statuses <= {401, *(status for status in (*case.statuses, *(case.gate or ())) if status != 200)}
    assert statuses or case.after == "waiting"
    assert guarded.application.arrived == []
    assert guarded.application.torn == []


def without_reaching(case: Case) -> Case:
    return Case(case.name, case.sent, case.statuses, (), case.after)


@pytest.mark.parametrize(("name", "sent", "left"), forgeries.COOKIES, ids=lambda value: str(value)[:40])
def test_own_cookies_never_reach_the_application(
    public: Wall, name: str, sent: list[bytes], left: bytes | None
) -> None:
    public.application.clear()
    request = get(*[b"Cookie: " + value for value in sent])
    case = Case(name, request, (200,), (Reached("GET", b"/a"),), "open")
    assert talk(public, case, request, SENTINEL)[0] == (200,)
    kept = get(*([b"Cookie: " + left] if left is not None else []))
    check_arrived(public, case, oracle.expected(kept, 1, (), left))


def test_the_applications_own_cookies_stay_beside_ours(guarded: Wall, cookie: bytes) -> None:
    guarded.application.clear()
    request = get(b"Cookie: a=1; " + cookie + b"; b=2")
    case = Case("", request, (200,), (Reached("GET", b"/a"),), "open")
    assert talk(guarded, case, request, signed_in(SENTINEL, cookie))[0] == (200,)
    check_arrived(guarded, case, oracle.expected(request, 1, ADA, b"a=1; b=2"))


@pytest.mark.parametrize(
    "forged",
    [
        b"gatekeeper=",
        b"gatekeeper=x",
        b"gatekeeper=" + b"A" * 86,
        b"gatekeeper=\xff",
        b"__Host-gatekeeper=%b",
    ],
)
def test_a_forged_session_is_nobody(guarded: Wall, cookie: bytes, forged: bytes) -> None:
    guarded.application.clear()
    value = cookie.partition(b"=")[2]
    for attempt in (
        forged.replace(b"%b", value),
        forged.replace(b"%b", value) + b"; " + cookie[:-1],
        b"gatekeeper=" + value[:-1] + (b"A" if value[-1:] != b"A" else b"B"),
        cookie + b"; gatekeeper=somebody-elses",
    ):
        request = get(b"Cookie: " + attempt)
        case = Case("", request, (401,), (), "open")
        assert talk(guarded, case, request, SENTINEL)[0] == (401,)
    assert guarded.application.arrived == []


@pytest.mark.parametrize("target", forgeries.TRICKS, ids=repr)
def test_no_spelling_of_a_denied_path_reaches_the_application(public: Wall, target: bytes) -> None:
    public.application.clear()
    request = get(target=target)
    with socket.create_connection(("127.0.0.1", public.gate.port), 10) as client:
        client.sendall(request)
        answers, _ = read_answers(client, 1)
    assert answers[0].status in (400, 403)
    assert public.application.arrived == []


def test_a_body_that_goes_wrong_never_becomes_a_whole_request(public: Wall) -> None:
    """The application got its beginning; it must see the connection end instead of the body."""
    public.application.clear()
    request = b"POST /a HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" % HOST
    with socket.create_connection(("127.0.0.1", public.gate.port), 10) as client:
        client.sendall(request)
        deadline = time.monotonic() + 10
        time.sleep(0.3)  # let the beginning be forwarded
        client.sendall(b"5;\x00")
        answers, _ = read_answers(client, None)
    while not public.application.torn and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [answer.status for answer in answers] == [400]
    assert public.application.arrived == []
    (torn,) = public.application.torn
    assert torn.endswith(b"\r\n\r\n5\r\nhello\r\n")
