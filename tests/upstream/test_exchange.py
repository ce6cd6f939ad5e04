from __future__ import annotations

import asyncio

import pytest

from gatekeeper.core.errors import RequestRejected, UpstreamFailure
from gatekeeper.upstream.limits import UpstreamLimits
from tests.upstream.harness import OK, Client, Peer, application, fetch, proxy, run, scope

HOST = (b"host", b"www.example.com")


def test_a_request_goes_out_exactly_as_it_was_judged() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.answer()
        assert head == b"GET /a%2Fb/../%c3?x=%zz&y HTTP/1.1\r\nhost: www.example.com\r\naccept: */*\r\n\r\n"

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            client = await fetch(
                app, scope("GET", b"/a%2Fb/../%c3", [HOST, (b"accept", b"*/*")], query=b"x=%zz&y")
            )
            assert (client.status, client.body, client.complete) == (200, b"ok", True)

    run(story())


def test_an_answers_head_loses_only_what_is_hop_by_hop() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(
            b"HTTP/1.1 404 Whatever\r\nX-One: 1\r\nX-One:  2\r\nServer: old\r\n"
            b"Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
            b"Proxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: x\r\n"
            b"Content-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
        )

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            client = await fetch(app)
            assert client.status == 404
            assert client.headers == [
                (b"x-one", b"1"),
                (b"x-one", b"2"),
                (b"server", b"old"),
                (b"content-length", b"0"),
                (b"set-cookie", b"a=1"),
                (b"set-cookie", b"b=2"),
            ]

    run(story())


def test_an_application_cannot_hide_its_cookies_and_caching_behind_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(
            b"HTTP/1.1 200 OK\r\nConnection: set-cookie, cache-control, content-length\r\n"
            b"Content-Length: 2\r\nSet-Cookie: a=1\r\nCache-Control: no-store\r\n\r\nok"
        )

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            client = await fetch(app)
            assert [name for name, _ in client.headers] == [
                b"content-length",
                b"set-cookie",
                b"cache-control",
            ]

    run(story())


def test_its_own_address_does_not_reach_the_browser() -> None:
    async def script(peer: Peer) -> None:
        port = peer.writer.get_extra_info("sockname")[1]
        await peer.answer(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/next\r\nContent-Length: 0\r\n\r\n" % port
        )

    async def story() -> None:
        async with (
            application(script) as fake,
            proxy(fake, public_origins=["https://gate.example.com"]) as app,
        ):
            client = await fetch(app)
            assert client.header(b"location") == [b"https://gate.example.com/next"]

    run(story())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            b"hello",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-user: eve\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: x\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_every_way_to_frame_a_body_keeps_the_connection_in_step(
    answer: bytes, body: bytes, whole: bool
) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.head()
            for piece in [answer] if whole else [answer[i : i + 1] for i in range(len(answer))]:
                await peer.send(piece)
                await asyncio.sleep(0)

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            for _ in range(2):
                client = await fetch(app)
                assert (client.body, client.complete) == (body, True)
                assert not client.header(b"x-user")
            assert fake.connections == 1

    run(story())


def test_a_body_may_end_with_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.0 200 OK\r\n\r\nhel")
        await peer.send(b"lo")

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            assert (await fetch(app)).body == b"hello"
            assert (await fetch(app)).body == b"hello"
            assert fake.connections == 2

    run(story())


@pytest.mark.parametrize("framing", [b"content-length: 5", b"transfer-encoding: chunked", b"x-none: 1"])
def test_head_has_no_body_and_the_connection_serves_on(framing: bytes) -> None:
    async def script(peer: Peer) -> None:
        assert (await peer.answer(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")).startswith(b"HEAD ")
        await peer.answer()

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            client = await fetch(app, scope("HEAD"))
            assert (client.status, client.body, client.complete) == (200, b"", True)
            assert client.header(b"content-length") == ([b"5"] if b"length" in framing else [])
            assert (await fetch(app)).body == b"ok"
            assert fake.connections == 1

    run(story())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (
            "HEAD",
            b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\r\n"),
        ("GET", OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("GET", OK + b"x"),
        ("GET", OK + b"HTTP/1.1 2"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil"),
        ("GET", b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nokevil"),
    ],
)
def test_bytes_beyond_an_answer_never_become_anothers_answer(method: str, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(answer if peer.number == 1 else OK)
        assert await peer.gone()

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            first = await fetch(app, scope(method))
            assert first.complete and b"evil" not in first.body
            assert (await fetch(app)).body == b"ok"
            assert fake.connections == 2

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: b\r\n x\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: b\rc\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\ncontent-length: 40\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"<html>ok</html>",
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_none(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        assert await peer.gone()

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app)
            assert (failed.value.status, failed.value.reason) == (502, "upstream_invalid")
            assert app.pool.open == 0

    run(story())


def test_an_endless_head_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2000)
        assert await peer.gone()

    async def story() -> None:
        async with application(script) as fake, proxy(fake, UpstreamLimits(head_size=1000)) as app:
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app)
            assert failed.value.reason == "upstream_head_too_large"

    run(story())


def test_a_head_within_the_cap_may_be_followed_by_any_body_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"y" * 5000)

    async def story() -> None:
        async with application(script) as fake, proxy(fake, UpstreamLimits(head_size=1000)) as app:
            assert (await fetch(app)).body == b"y" * 5000

    run(story())


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x" * 100),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 20),
    ],
)
def test_endless_interim_answers_chunk_extensions_and_trailers_are_cut_off(
    start: bytes, piece: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(start)
        while not peer.writer.is_closing():
            await peer.send(piece)
            await asyncio.sleep(0)

    async def story() -> None:
        async with application(script) as fake, proxy(fake, UpstreamLimits(head_size=1000)) as app:
            with pytest.raises(UpstreamFailure):
                await fetch(app)

    run(story())


def test_a_declared_body_is_sent_as_declared() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert b"\r\ncontent-length: 10\r\n" in head and b"transfer-encoding" not in head
        assert await peer.read(10) == b"helloworld"
        await peer.send(OK)

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            of = scope("POST", headers=[HOST, (b"content-length", b"10")])
            assert (await fetch(app, of, b"hello", b"world")).body == b"ok"

    run(story())


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_an_undeclared_body_goes_out_in_our_own_chunks(version: str) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert head.count(b"transfer-encoding: chunked\r\n") == 1 and b"content-length" not in head
        assert (
            await peer.reader.readuntil(b"0\r\n\r\n")
            == b"5\r\nhello\r\n10\r\n" + b"w" * 16 + b"\r\n0\r\n\r\n"
        )
        await peer.send(OK)

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            headers = [HOST, (b"transfer-encoding", b"chunked")] if version == "1.1" else [HOST]
            client = await fetch(
                app, scope("POST", headers=headers, version=version), b"hello", b"w" * 16, b""
            )
            assert client.body == b"ok"

    run(story())


@pytest.mark.parametrize(
    ("method", "body", "ending"),
    [
        ("POST", b"hi", b"content-length: 2\r\n\r\nhi"),
        ("POST", b"", b"content-length: 0\r\n\r\n"),
        ("GET", b"", b"host: www.example.com\r\n\r\n"),
    ],
)
def test_http_2_tells_only_by_reading_whether_there_is_a_body(
    method: str, body: bytes, ending: bytes
) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert (head + await peer.read(len(body))).endswith(ending)
        await peer.send(OK)

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            assert (await fetch(app, scope(method, version="2"), body)).body == b"ok"

    run(story())


@pytest.mark.parametrize("pieces", [(b"hello", b"w"), (b"hell",), (b"hello!",)])
def test_a_body_that_is_not_as_long_as_declared_is_never_completed(pieces: tuple[bytes, ...]) -> None:
    async def script(peer: Peer) -> None:
        rest = await peer.reader.read()
        assert not rest.endswith(b"hello!") and not rest.endswith(b"hellow")

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            of = scope("POST", headers=[HOST, (b"content-length", b"7" if len(pieces) == 2 else b"5")])
            with pytest.raises(RequestRejected) as refused:
                await fetch(app, of, *pieces)
            assert refused.value.status == 400

    run(story())


def test_an_answer_may_come_while_the_body_is_still_being_sent() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.read(5)
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        assert await peer.gone()

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            of = scope("POST", headers=[HOST, (b"content-length", b"10")])
            client = await Client(app, of, b"hello", end=False).run()
            assert (client.status, client.body, client.complete) == (413, b"big", True)
            assert app.pool.open == 0

    run(story())


def test_both_bodies_may_stream_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(3):
            await peer.send(await peer.read(8))
        assert await peer.read(5) == b"0\r\n\r\n"
        await peer.send(b"0\r\n\r\n")

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            of = scope("POST", headers=[HOST, (b"transfer-encoding", b"chunked")])
            client = Client(app, of, end=False)
            task = client.start()
            for piece in (b"one", b"two", b"end"):
                client.say(piece, more=True)
                await client.until(lambda wanted=piece: wanted in client.body)  # type: ignore[misc]
            client.say(b"", more=False)
            await task
            assert client.body == b"onetwoend" and app.pool.open == 1

    run(story())
