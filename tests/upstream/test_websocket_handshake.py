"""The opening hand-shake as values: what is offered, and which answers count as agreement (RFC 6455, 4.1)."""

from __future__ import annotations

import pytest

from gatekeeper.core.errors import RequestRejected, UpstreamFailure
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.rewrite import Rewriter
from gatekeeper.upstream.websocket_handshake import (
    HEAD_MAX,
    REFUSAL_BODY_MAX,
    Agreed,
    AnswerReader,
    Offer,
    Refused,
    accept_bytes,
    client_offer,
    new_offer,
    request_bytes,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3, and its answer
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OFFER = Offer(KEY, (b"chat", b"superchat"), b"permessage-deflate")
REWRITER = Rewriter(Origin.parse("http://127.0.0.1:3000"), ["https://office.example.com"])
GOOD = {
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Accept": ACCEPT,
}


def reader(offer: Offer = OFFER) -> AnswerReader:
    return AnswerReader(offer, REWRITER)


def answer(status: bytes = b"101 Switching Protocols", /, **changes: bytes | None) -> bytes:
    fields: dict[bytes, bytes | None] = dict(GOOD)
    fields.update({name.replace("_", "-").encode(): value for name, value in changes.items()})
    lines = [b"HTTP/1.1 " + status]
    lines += (name + b": " + value for name, value in fields.items() if value is not None)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def client_headers(**changes: bytes | None) -> list[tuple[bytes, bytes]]:
    fields: dict[str, bytes | None] = {"sec-websocket-key": KEY, "sec-websocket-version": b"13"}
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return [(name.encode(), value) for name, value in fields.items() if value is not None]


# what the client offers


def test_the_client_s_own_offer_is_read() -> None:
    headers = client_headers(
        sec_websocket_protocol=b"chat , superchat",
        sec_websocket_extensions=b"permessage-deflate; client_max_window_bits, x-multiplex",
    )
    assert client_offer(headers) == Offer(
        KEY, (b"chat", b"superchat"), b"permessage-deflate; client_max_window_bits"
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sec_websocket_version": b"8"}, 426),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_version": b"13, 8"}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b""}, 400),
        ({"sec_websocket_key": b"dG9vIHNob3J0"}, 400),
        ({"sec_websocket_key": b"!" * 24}, 400),
        ({"sec_websocket_protocol": b"chat, not a token"}, 400),
    ],
)
def test_a_wrong_offer_is_refused(changes: dict[str, bytes | None], status: int) -> None:
    with pytest.raises(RequestRejected) as refused:
        client_offer(client_headers(**changes))
    assert refused.value.status == status


def test_two_keys_are_refused() -> None:
    with pytest.raises(RequestRejected):
        client_offer([*client_headers(), (b"sec-websocket-key", KEY)])


def test_an_offer_of_our_own_asks_for_no_compression() -> None:
    assert new_offer(b"the sample nonce", ["chat"]) == Offer(KEY, (b"chat",), b"")
    with pytest.raises(RequestRejected):
        new_offer(bytes(16), ["chat\r\nX-Injected: 1"])


# what the application is asked


def test_the_request_has_the_offer_once_and_the_headers_as_they_were() -> None:
    headers = [
        (b"host", b"office.example.com"),
        (b"remote-user", b"dana"),
        (b"sec-websocket-extensions", b"x-multiplex"),
        (b"content-length", b"5"),
        (b"upgrade", b"h2c"),
        *client_headers(),
    ]
    request = request_bytes(b"/a%2Db?x=%20", headers, OFFER, host=None, fallback_host=b"127.0.0.1")
    assert request == (
        b"GET /a%2Db?x=%20 HTTP/1.1\r\n"
        b"host: office.example.com\r\n"
        b"remote-user: dana\r\n"
        b"sec-websocket-version: 13\r\n"
        b"sec-websocket-key: " + KEY + b"\r\n"
        b"sec-websocket-protocol: chat, superchat\r\n"
        b"sec-websocket-extensions: permessage-deflate\r\n"
        b"upgrade: websocket\r\nconnection: Upgrade\r\n\r\n"
    )


def test_a_header_cannot_bring_a_line_of_its_own() -> None:
    with pytest.raises(RequestRejected):
        request_bytes(b"/", [(b"x", b"1\r\nremote-user: root")], OFFER, host=b"h", fallback_host=b"h")


# what the application answers


def test_an_agreement_is_read_with_what_follows_it() -> None:
    data = answer(
        Sec_WebSocket_Protocol=b"chat", Sec_WebSocket_Extensions=b"permessage-deflate", Set_Cookie=b"a=1"
    )
    assert reader().feed(data + b"\x81\x01a") == Agreed(
        [(b"set-cookie", b"a=1")], b"chat", b"permessage-deflate", b"\x81\x01a"
    )


def test_an_agreement_may_come_byte_by_byte_and_after_early_hints() -> None:
    parser = reader()
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer()
    results = [parser.feed(bytes((byte,))) for byte in data]
    assert results[:-1] == [None] * (len(data) - 1)
    assert results[-1] == Agreed([], None, b"", b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": b"h2c"},
        {"Upgrade": b"websocket, h2c"},
        {"Connection": None},
        {"Connection": b"close"},
        {"Sec_WebSocket_Accept": None},
        {"Sec_WebSocket_Accept": b""},
        {"Sec_WebSocket_Accept": ACCEPT.lower()},
        {"Sec_WebSocket_Protocol": b"other"},
        {"Sec_WebSocket_Protocol": b"chat, superchat"},
        {"Sec_WebSocket_Protocol": b"CHAT"},
        {"Sec_WebSocket_Extensions": b"x-multiplex"},
        {"Sec_WebSocket_Extensions": b"permessage-deflate, permessage-deflate"},
    ],
)
def test_what_is_no_agreement_is_an_error(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(UpstreamFailure) as failure:
        reader().feed(answer(**changes))
    assert failure.value.status == 502


def test_what_was_not_offered_cannot_be_agreed_on() -> None:
    bare = Offer(KEY)
    with pytest.raises(UpstreamFailure):
        reader(bare).feed(answer(Sec_WebSocket_Protocol=b"chat"))
    with pytest.raises(UpstreamFailure):
        reader(bare).feed(answer(Sec_WebSocket_Extensions=b"permessage-deflate"))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 101 Switching Protocols" + answer()[32:],
        b"\x15\x03\x01 not HTTP\r\n\r\n",
        answer().replace(b"\r\n", b"\n"),
        answer(X=b"a\r\n folded"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_what_is_no_http_is_an_error(data: bytes) -> None:
    with pytest.raises(UpstreamFailure) as failure:
        reader().feed(data)
    assert failure.value.status == 502


def test_a_head_without_end_is_an_error() -> None:
    parser = reader()
    parser.feed(b"HTTP/1.1 101 Switching Protocols\r\n")
    with pytest.raises(UpstreamFailure):
        for _ in range(HEAD_MAX // 1000 + 1):
            parser.feed(b"X: " + b"a" * 995 + b"\r\n")


def test_a_refusal_keeps_status_headers_and_body_but_nothing_about_the_connection() -> None:
    result = reader().feed(
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
        b"Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nWWW-Authenticate: Basic\r\n\r\n"
        b"3\r\nno \r\n4\r\nway!\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    assert result == Refused(
        403,
        [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic"), (b"content-length", b"7")],
        b"no way!",
    )


def test_a_redirect_does_not_leak_the_application_s_own_address() -> None:
    result = reader().feed(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:3000/in\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(result, Refused)
    assert (b"location", b"https://office.example.com/in") in result.headers


def test_a_refusal_s_body_is_capped() -> None:
    parser = reader()
    assert parser.feed(b"HTTP/1.1 500 Oops\r\nContent-Length: 99999999\r\n\r\n") is None
    result = None
    while result is None:
        result = parser.feed(b"x" * 10_000)
    assert isinstance(result, Refused)
    assert len(result.body) == REFUSAL_BODY_MAX
    assert (b"content-length", b"%d" % REFUSAL_BODY_MAX) in result.headers


def test_a_refusal_may_end_with_the_connection() -> None:
    parser = reader()
    assert parser.feed(b"HTTP/1.1 404 Not Found\r\n\r\nnothing here") is None
    assert parser.end() == Refused(404, [(b"content-length", b"12")], b"nothing here")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101 Swit", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_connection_closed_before_the_answer_is_an_error(data: bytes) -> None:
    parser = reader()
    if data:
        assert parser.feed(data) is None
    with pytest.raises(UpstreamFailure):
        parser.end()


def test_the_client_gets_its_own_accept_value() -> None:
    agreed = Agreed([], b"chat", b"permessage-deflate", b"")
    assert accept_bytes(agreed, OFFER, [(b"set-cookie", b"a=1")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: chat\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\nset-cookie: a=1\r\n\r\n"
    )
