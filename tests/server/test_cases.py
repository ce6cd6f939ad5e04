"""Every case of the table over a real socket: the client's answer, and what reached the application."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.server.cases import CASES, GROUPS, HOST, Case
from tests.server.wire import Recorder, Served, read_answers, served

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: " + HOST + b"\r\nConnection: close\r\n\r\n"

recorder = Recorder()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(recorder) as running:
        yield running


def test_the_table_is_large_and_its_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 150
    assert len(set(names)) == len(names)
    assert all(GROUPS.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(server: Served, case: Case) -> None:
    recorder.requests.clear()
    server.refusals.clear()
    heads = [reached.method == "HEAD" for reached in case.reaches]
    with server.connect() as client:
        client.sendall(case.sent)
        if case.after == "closed":
            answers, raw = read_answers(client, None)
        elif case.after == "open":
            if any(heads):
                raw = client.recv(65536)
                assert raw.startswith(b"HTTP/1.1 200 ") and raw.endswith(b"\r\n\r\n")
                answers = []
            else:
                answers, raw = read_answers(client, len(case.statuses))
            client.sendall(SENTINEL)
            last, _ = read_answers(client, None)
            assert [answer.body for answer in last] == [b"/sentinel"]
        else:
            answers, raw = read_answers(client, len(case.statuses))
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
    if not any(heads):
        assert tuple(answer.status for answer in answers) == case.statuses
    check_reached(case)
    refusals = [status for status in case.statuses if status >= 400]
    assert [status for _, status, _ in server.refusals] == refusals
    if refusals:
        closing = dict(answers[-1].headers)[b"connection"]
        assert b"close" in closing
        assert answers[-1].body.startswith(str(refusals[-1]).encode())


def check_reached(case: Case) -> None:
    whole = [request for request in recorder.whole if request.target != b"/sentinel"]
    assert [(r.method, r.target, r.body) for r in whole] == [
        (r.method, r.target, r.body) for r in case.reaches
    ]
    for request, expected in zip(whole, case.reaches, strict=True):
        names = {name for name, _ in request.headers}
        assert set(expected.has) <= set(request.headers)
        assert not names & set(expected.lacks)


def test_a_byte_at_a_time_is_answered_the_same(server: Served) -> None:
    recorder.requests.clear()
    with server.connect() as client:
        for (
            byte
        ) in b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n":
            client.sendall(bytes([byte]))
        answers, _ = read_answers(client, 1)
    assert answers[0].status == 200
    assert recorder.whole[0].body == b"hello"


def test_a_refusal_can_be_read_even_while_the_client_keeps_sending(server: Served) -> None:
    with server.connect() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        client.sendall(b"x" * 1_000_000)
        client.shutdown(socket.SHUT_WR)
        answers, _ = read_answers(client, None)
    assert [answer.status for answer in answers] == [413]
