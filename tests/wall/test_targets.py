"""What was decided on is what is sent: generated request targets over raw sockets, against recorded bytes."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz import fuzz
from tests.server.cases import HOST
from tests.server.wire import read_answers
from tests.wall.conftest import Wall

_PIECES = st.sampled_from(
    rb"secret SECRET sec ret a b / / / // . .. ... %2e %2E %2f %2F %5c \ ; ;x=1 : @ = + & ? ? # %25 %252e "
    rb"%252f %73 %00 %0d%0a %c3%a9 %c0%af %c0%ae %ef%bc%8f %e2%80%a8 %ff % %4 %zz %u002f ~ * ' ( ) ! $ , "
    rb'| ^ ` { } [ ] " < >'.split()
    + [b"\xe9", b"\x7f", b"\x01", b"%20"]
)
TARGETS = st.one_of(
    st.lists(_PIECES, max_size=10).map(lambda pieces: b"/" + b"".join(pieces)),
    st.tuples(
        st.lists(st.sampled_from(rb"/ /a /. /.. /%2e%2e /secret /%73ecret /b;c // /? ?".split()), max_size=6)
    ).map(lambda parts: b"/" + b"".join(parts[0]).lstrip(b"/")),
    st.lists(_PIECES, max_size=5).map(lambda pieces: b"http://" + HOST + b"".join(pieces)),
    st.lists(_PIECES, min_size=1, max_size=4).map(b"".join),
    st.from_regex(rb"/[!-~]{0,30}", fullmatch=True),
    st.binary(max_size=20)
    .map(lambda tail: b"/" + tail)
    .filter(lambda target: not re.search(rb"[\r\n]|\A/?\Z", target)),
)


class Client:
    """One keep-alive connection, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def get(self, target: bytes) -> int:
        """The status of the one answer."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, HOST))
        answers, _ = read_answers(self._socket, 1)
        answer = answers[0]
        if dict(answer.headers).get(b"connection") == b"close":
            self.close()
        return answer.status

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@pytest.fixture(scope="module")
def client(public: Wall) -> Iterator[Client]:
    with contextlib.closing(Client(public.gate.port)) as client:
        yield client


@fuzz(2_000, share=0.1)
@given(TARGETS)
@example(b"/a?")
@example(b"/a?b=/../secret&c=%2f;//\\")
@example(b"/%2573ecret")
@example(b"http://" + HOST + b"/a//..//secret")
def test_the_application_gets_the_very_bytes_or_nothing(public: Wall, client: Client, target: bytes) -> None:
    public.application.clear()
    status = client.get(target)
    arrived = public.application.arrived
    if status != 200:
        assert status in (400, 403, 505)
        assert arrived == []
        return
    (request,) = arrived
    sent = re.sub(rb"\Ahttps?://[^/?]*", b"", target)
    sent = sent if sent.startswith(b"/") else b"/" + sent
    # The one thing that ASGI cannot say: that there is a query, of no bytes.
    assert request.target == (sent[:-1] if sent.endswith(b"?") and sent.count(b"?") == 1 else sent)
    assert not means_secret(request.target), "a denied path reached the application"


def means_secret(target: bytes) -> bool:
    """Whether some server or framework, however lenient, could serve /secret for it."""
    path = target.split(b"?")[0]
    readings = {path}
    for _ in range(3):
        for reading in tuple(readings):
            readings.add(unquote_to_bytes(reading))
            readings.add(reading.replace(b"\\", b"/"))
            readings.add(re.sub(rb";[^/]*", b"", reading))
            readings.add(reading.split(b"\x00")[0])
    return any(_normal(reading)[:1] == [b"secret"] for reading in readings)


def _normal(path: bytes) -> list[bytes]:
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            segments = segments[:-1]
        elif segment not in (b"", b"."):
            segments.append(segment)
    return segments


def test_the_suspicious_eye_sees_what_it_should() -> None:
    assert all(
        map(
            means_secret,
            [b"/secret", b"/a/..;/%2573ecret", b"/%5csecret/x", b"/a%2f..%2fsecret?q", b"//secret;a"],
        )
    )
    assert not any(map(means_secret, [b"/a?/secret", b"/secrets", b"/a/secret", b"/SECRET"]))


def test_both_outcomes_occur(public: Wall, client: Client) -> None:
    """Guards the property: were everything refused, or nothing, it would prove little."""
    seen = [
        client.get(target) for target in (b"/a%20b;", b"/a", b"/caf%C3%A9?x=//..;", b"/secret", b"/a/../b")
    ]
    assert seen == [400, 200, 200, 403, 400]
