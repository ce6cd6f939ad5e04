"""Header lines met before are not read again; that changes no answer and keeps no secret."""

from __future__ import annotations

import pytest

from gatekeeper.core.errors import RequestRejected
from gatekeeper.gate.server import fields
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.head import parse_head

_REQUEST = b"GET /a HTTP/1.1\r\nHost: x\r\n"


def test_a_remembered_line_is_read_as_the_first_time() -> None:
    fields.met_before.clear()
    block = _REQUEST + b"AccEpt:  text/html \r\nAccept: text/html\r\nUser-Agent: a:b"
    first, second = parse_head(block, ServerLimits()), parse_head(block, ServerLimits())
    assert fields.met_before
    assert first.headers == second.headers
    assert (b"accept", b"text/html") in second.headers and (b"user-agent", b"a:b") in second.headers


@pytest.mark.parametrize(
    "line", [b"Cookie: a=b", b"Authorization: Basic abc", b"Host: y", b"X-Csrf-Token: t"]
)
def test_secrets_and_framing_are_not_remembered(line: bytes) -> None:
    fields.met_before.clear()
    parse_head(
        b"GET /a HTTP/1.1\r\n" + (b"" if line[:4] == b"Host" else b"Host: x\r\n") + line, ServerLimits()
    )
    assert not fields.met_before


@pytest.mark.parametrize("bad", [b"\x00", b"\r", b"\n", b"\x7f", b"\x1f"])
def test_a_line_that_only_begins_like_a_remembered_one_is_judged(bad: bytes) -> None:
    parse_head(_REQUEST + b"Accept: text/html", ServerLimits())
    for line in (b"Accept: text/html" + bad, bad + b"Accept: text/html", b"Cookie: a" + bad):
        with pytest.raises(RequestRejected) as refused:
            parse_head(_REQUEST + line, ServerLimits())
        assert refused.value.status == 400


def test_memory_for_lines_is_bounded() -> None:
    for number in range(5000):
        parse_head(_REQUEST + b"Accept: %d" % number, ServerLimits())
    parse_head(_REQUEST + b"Accept: " + b"a" * 5000, ServerLimits())
    assert len(fields.met_before) <= 2048
    assert all(len(line) <= 256 for line in fields.met_before)
