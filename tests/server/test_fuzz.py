"""Whatever bytes come, however they are split: the same answer, and never an unexpected exception."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.errors import RequestRejected
from gatekeeper.gate.server.body import ChunkedBody
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.head import parse_head
from tests.fuzz import fuzz
from tests.server.cases import CASES, Case
from tests.server.memory import Bench, settle
from tests.server.wire import Recorder

SMALL = ServerLimits(request_line=60, head=160, headers=6, body=40, trailers=24)

PIECES = [
    *b"GET|POST|/a|/a?b|http://x/| |\t|\r|\n|\r\n|\r\n\r\n|: |:| HTTP/1.1| HTTP/1.0|#|x".split(b"|"),
    *b"Host: x|Host: y|X: 1|Content-Length: 5|Content-Length: 0|Transfer-Encoding: chunked".split(b"|"),
    *b"Connection: close|Expect: 100-continue|Connection: upgrade|Upgrade: websocket".split(b"|"),
    *b"0\r\n|5\r\nhello\r\n|;a=b|0\r\n\r\n|5|A|\x00|\xff".split(b"|"),
    b"GET /a HTTP/1.1\r\nHost: x\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"x" * 50,
]

streams = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join),
    st.sampled_from(CASES).map(lambda case: case.sent[:400]),
    st.builds(
        lambda case, at, junk: case.sent[:at] + junk + case.sent[at : at + 300],
        st.sampled_from(CASES),
        st.integers(0, 120),
        st.binary(max_size=3),
    ),
)


def converse(pieces: list[bytes], limits: ServerLimits) -> tuple[bytes, list[object], list[object], bool]:
    """Feed the pieces; the answer, what reached the application, the refusals, and whether it goes on."""

    async def story() -> tuple[bytes, list[object], list[object], bool]:
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        app = Recorder()
        bench = Bench(app, limits)
        protocol, transport = bench.connect()
        waiting = b""
        for piece in pieces:
            waiting += piece
            await settle()
            if not transport.paused and not transport.lost and waiting:
                protocol.data_received(waiting)
                waiting = b""
        await settle(100)
        while waiting and not transport.lost and not transport.paused:
            protocol.data_received(waiting)
            waiting = b""
            await settle(100)
        reached: list[object] = [(r.method, r.target, r.headers, r.body) for r in app.whole]
        goes_on = not (transport.eof or transport.closing)
        await bench.pass_time(160, step=40)
        assert transport.lost and not failures and not bench.state.tasks and not bench.registry.connections
        answer = bytes(transport.written)
        return answer, reached, list(bench.refusals), goes_on

    return asyncio.run(story())


@fuzz(200, share=0.02)
@given(stream=streams, cuts=st.lists(st.integers(0, 400), max_size=12), small=st.booleans())
def test_splitting_changes_nothing(stream: bytes, cuts: list[int], small: bool) -> None:
    limits = SMALL if small else ServerLimits()
    edges = [0, *sorted(cut for cut in set(cuts) if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    whole = converse([stream], limits)
    assert converse(pieces, limits) == whole
    assert converse([bytes([byte]) for byte in stream[:150]] + [stream[150:]], limits) == whole


@fuzz(200)
@given(block=st.one_of(st.binary(max_size=300), streams))
def test_any_head_is_read_or_refused(block: bytes) -> None:
    try:
        head = parse_head(block, ServerLimits())
    except RequestRejected as error:
        assert error.status in {400, 414, 417, 426, 431, 501, 505}
    else:
        assert head.host is not None and head.raw_path.startswith(b"/")
        assert not (head.chunked and head.length is not None)
        assert all(name == name.lower() for name, _ in head.headers)


@fuzz(200)
@given(data=st.one_of(st.binary(max_size=80), streams), seed=st.integers(0, 99))
def test_any_chunks_are_read_or_refused_wherever_they_are_split(data: bytes, seed: int) -> None:
    def read(pieces: list[bytes]) -> tuple[object, ...]:
        body, payload = ChunkedBody(SMALL), b""
        try:
            for number, piece in enumerate(pieces):
                payload += body.feed(piece)
                if body.done:
                    return payload, body.rest + b"".join(pieces[number + 1 :])
        except RequestRejected as error:
            return error.status, error.reason
        return (payload,)

    cut = random.Random(seed).randint(0, len(data))
    whole = read([data])
    assert read([data[:cut], data[cut:]]) == whole
    assert read([bytes([byte]) for byte in data]) == whole


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_answered_the_same_in_two_pieces(case: Case) -> None:
    whole = converse([case.sent], ServerLimits())
    for cut in {1, len(case.sent) // 3, len(case.sent) // 2, len(case.sent) - 1}:
        assert converse([case.sent[:cut], case.sent[cut:]], ServerLimits()) == whole


@pytest.mark.parametrize(
    "stream",
    [
        b"GET /a HTTP/1.1\r\r\nHost: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r: 1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\r\n\r\n",
    ],
)
def test_the_reason_is_the_same_too(stream: bytes) -> None:
    whole = converse([stream], ServerLimits())
    assert converse([bytes([byte]) for byte in stream], ServerLimits()) == whole
