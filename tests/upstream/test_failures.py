from __future__ import annotations

import asyncio
import socket

import pytest

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from tests.upstream.harness import Client, Now, Peer, application, fetch, proxy, run, scope

HOST = (b"host", b"www.example.com")


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        origin = Origin("http", "127.0.0.1", taken.getsockname()[1])

        async def story() -> None:
            async with proxy(origin) as app:
                with pytest.raises(UpstreamFailure) as failed:
                    await fetch(app)
                assert (failed.value.status, failed.value.reason) == (502, "upstream_unreachable")
                assert app.pool.open == 0

        run(story())


def test_a_host_that_nobody_knows_and_a_socket_that_is_not_there() -> None:
    async def story() -> None:
        for origin in (Origin.parse("unix:/nonexistent/app.sock"), Origin.parse("http://app.invalid")):
            async with proxy(origin) as app:
                with pytest.raises(UpstreamFailure) as failed:
                    await fetch(app)
                assert failed.value.status == 502

    run(story())


def test_a_connection_that_is_never_accepted() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):

            async def story() -> None:
                limits = UpstreamLimits(connect_timeout=0.1)
                async with proxy(Origin("http", "127.0.0.1", port), limits) as app:
                    with pytest.raises(UpstreamFailure) as failed:
                        await fetch(app)
                    assert (failed.value.status, failed.value.reason) == (504, "upstream_connect_timeout")

            run(story())


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_an_application_that_breaks_off_before_its_answer_is_502(start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(start)

    async def story() -> None:
        async with application(script) as fake, proxy(fake) as app:
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app)
            assert (failed.value.status, failed.value.reason) == (502, "upstream_closed")
            assert fake.connections == 1

    run(story())


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("reset", [True, False])
def test_an_application_that_breaks_off_mid_body_never_looks_complete(start: bytes, reset: bool) -> None:
    async def story() -> None:
        seen = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(start)
            await seen.wait()
            if reset:
                peer.reset()

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app)
            task = client.start()
            await client.until(lambda: client.body == b"part")
            seen.set()
            with pytest.raises(UpstreamFailure):
                await task
            assert not client.complete and app.pool.open == 0

    run(story())


def test_a_reset_is_no_end_of_a_body_that_ends_with_the_connection() -> None:
    async def story() -> None:
        seen = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n\r\npart")
            await seen.wait()
            peer.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            peer.reset()

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app)
            task = client.start()
            await client.until(lambda: client.body == b"part")
            seen.set()
            with pytest.raises(UpstreamFailure):
                await task
            assert not client.complete

    run(story())


@pytest.mark.parametrize(
    ("start", "wait", "reason"),
    [
        (b"", 61.0, "upstream_timeout"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", 61.0, "upstream_timeout"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", 31.0, "upstream_idle_timeout"),
    ],
)
def test_silence_is_504(start: bytes, wait: float, reason: str) -> None:
    async def story() -> None:
        now = Now()
        asked = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(start)
            asked.set()
            assert await peer.gone()

        limits = UpstreamLimits(response_timeout=60, idle_timeout=30)
        async with application(script) as fake, proxy(fake, limits, now=now) as app:
            client = Client(app)
            task = client.start()
            await asked.wait()
            await asyncio.sleep(0.05)
            app.sweep(now.time + wait - 2)
            await asyncio.sleep(0)
            assert not task.done()
            app.sweep(now.time + wait)
            with pytest.raises(UpstreamFailure) as failed:
                await task
            assert (failed.value.status, failed.value.reason) == (504, reason)

    run(story())


def test_deadlines_are_looked_at_without_being_asked() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            assert await peer.gone()

        limits = UpstreamLimits(response_timeout=0.05, tick=0.02)
        async with application(script) as fake, proxy(fake, limits) as app:
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app)
            assert failed.value.status == 504

    run(story())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_request_that_met_a_dying_connection_is_sent_once_more(method: str) -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer()
            if peer.number < 3 and not await peer.gone():
                peer.reset()

        async with application(script) as fake, proxy(fake) as app:
            one, two = await asyncio.gather(fetch(app), fetch(app))
            assert one.status == two.status == 200 and fake.connections == 2
            answer = await fetch(app, scope(method))
            # Both connections would die; the second try must not take the other old one.
            assert answer.status == 200 and fake.connections == 3

    run(story())


def test_it_is_not_sent_a_third_time() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            if peer.number == 1:
                await peer.answer()
            await peer.head()

        async with application(script) as fake, proxy(fake) as app:
            await fetch(app)
            with pytest.raises(UpstreamFailure):
                await fetch(app)
            assert fake.connections == 2

    run(story())


@pytest.mark.parametrize(
    ("method", "body"), [("POST", b""), ("PATCH", b""), ("POST", b"x"), ("PUT", b"x"), ("DELETE", b"x")]
)
def test_a_request_that_may_have_had_effect_is_never_sent_twice(method: str, body: bytes) -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer()
            await peer.head()
            peer.reset()

        async with application(script) as fake, proxy(fake) as app:
            await fetch(app)
            of = scope(method, headers=[HOST, (b"content-length", b"%d" % len(body))])
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app, of, body)
            assert failed.value.status == 502 and fake.connections == 1

    run(story())


def test_one_byte_of_an_answer_forbids_a_second_try() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer()
            await peer.answer(b"H")

        async with application(script) as fake, proxy(fake) as app:
            await fetch(app)
            with pytest.raises(UpstreamFailure):
                await fetch(app)
            assert fake.connections == 1

    run(story())


def test_a_client_that_leaves_takes_the_request_along() -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            asked.set()
            assert await peer.gone()

        async with application(script) as fake, proxy(fake, UpstreamLimits(tick=0.02)) as app:
            client = Client(app)
            task = client.start()
            await asked.wait()
            client.leave()
            await task
            assert client.status == 0 and app.pool.open == 0

    run(story())


@pytest.mark.parametrize("declared", [b"10", b"10000000"])
def test_a_client_that_leaves_while_sending_never_completes_its_request(declared: bytes) -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            assert await peer.read(5) == b"hello"
            client.leave()
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            client = Client(
                app, scope("POST", headers=[HOST, (b"content-length", declared)]), b"hello", end=False
            )
            await client.run()
            assert client.status == 0 and app.pool.open == 0

    run(story())


def test_a_client_that_leaves_mid_answer_stops_the_answer() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            assert await peer.gone()

        async with application(script) as fake, proxy(fake, UpstreamLimits(tick=0.02)) as app:
            client = Client(app)
            task = client.start()
            await client.until(lambda: client.body == b"one")
            client.leave()
            await task
            assert not client.complete and app.pool.open == 0

    run(story())


def test_a_server_that_raises_on_send_says_that_the_client_is_gone() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart")
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:

            async def receive() -> dict[str, object]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: object) -> None:
                raise ConnectionResetError

            await app(scope(), receive, send)
            assert app.pool.open == 0

    run(story())


def test_a_cancelled_request_lets_go_of_its_connection() -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            asked.set()
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            task = Client(app).start()
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert app.pool.open == 0

    run(story())


def test_what_the_servers_receive_raises_reaches_the_caller() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:

            async def receive() -> dict[str, object]:
                raise LookupError

            async def send(message: object) -> None:
                raise AssertionError

            with pytest.raises(LookupError):
                await app(scope("POST", headers=[HOST, (b"transfer-encoding", b"chunked")]), receive, send)

    run(story())


def test_other_scopes_are_not_for_the_application() -> None:
    async def story() -> None:
        async with proxy(Origin("http", "127.0.0.1", 1)) as app:
            client = Client(app, {"type": "websocket"})
            with pytest.raises(ValueError, match="websocket"):
                await client.run()

    run(story())


def test_websocket_scopes_go_to_the_relay() -> None:
    async def story() -> None:
        met = []

        async def relay(scope: object, receive: object, send: object) -> None:
            met.append(scope)

        async with proxy(Origin("http", "127.0.0.1", 1), websocket=relay) as app:
            await Client(app, {"type": "websocket"}).run()
        assert met == [{"type": "websocket"}]

    run(story())
