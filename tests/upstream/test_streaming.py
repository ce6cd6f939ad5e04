from __future__ import annotations

import asyncio

import pytest

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.limits import UpstreamLimits
from tests.upstream.harness import OK, Client, Now, Peer, application, proxy, run, scope

HOST = (b"host", b"www.example.com")
MB = 1_000_000


def test_pieces_of_an_answer_arrive_as_they_are_made() -> None:
    async def story() -> None:
        go_on = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            await go_on.wait()
            await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app)
            task = client.start()
            await client.until(lambda: client.body == b"one")
            go_on.set()
            await task
            assert client.body == b"onetwo"

    run(story())


def test_a_slow_client_makes_the_application_wait() -> None:
    async def story() -> None:
        sent = 0
        stuck = asyncio.Event()

        async def script(peer: Peer) -> None:
            nonlocal sent
            peer.writer.transport.set_write_buffer_limits(0)
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (50 * MB))
            for _ in range(500):
                peer.writer.write(b"x" * 100_000)
                try:
                    async with asyncio.timeout(0.3):
                        await peer.writer.drain()
                except TimeoutError:
                    stuck.set()
                    await peer.writer.drain()
                sent += 100_000

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app)
            client.writable.clear()
            task = client.start()
            await stuck.wait()
            assert sent < 20 * MB
            assert sum(map(len, client.pieces)) < MB
            client.writable.set()
            await task
            assert len(client.body) == 50 * MB

    run(story())


def test_a_slow_application_makes_the_client_wait() -> None:
    async def story() -> None:
        go_on = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await go_on.wait()
            assert await peer.read(50 * MB) == b"x" * (50 * MB)
            await peer.send(OK)

        async with application(script) as fake, proxy(fake) as app:
            client = Client(
                app, scope("POST", headers=[HOST, (b"content-length", b"%d" % (50 * MB))]), end=False
            )
            for number in range(500):
                client.say(b"x" * 100_000, more=number < 499)
            task = client.start()
            asked = -1
            while asked != client.asked:
                asked = client.asked
                await asyncio.sleep(0.2)
            assert 0 < asked < 200
            go_on.set()
            assert (await task).body == b"ok"

    run(story())


def test_time_does_not_run_for_the_application_while_the_client_is_slow() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MB + b"x" * MB)

        now = Now()
        async with application(script) as fake, proxy(fake, now=now) as app:
            client = Client(app)
            client.writable.clear()
            task = client.start()
            await client.until(lambda: client.status == 200)
            await asyncio.sleep(0.1)
            now.time += 3600
            app.sweep(now.time)
            client.writable.set()
            assert len((await task).body) == MB

    run(story())


def test_an_application_that_stops_reading_is_given_up() -> None:
    async def story() -> None:
        done = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await done.wait()

        now = Now()
        async with application(script) as fake, proxy(fake, now=now) as app:
            client = Client(
                app, scope("POST", headers=[HOST, (b"content-length", b"%d" % (50 * MB))]), end=False
            )
            for _ in range(500):
                client.say(b"x" * 100_000, more=True)
            task = client.start()
            asked = -1
            while asked != client.asked:
                asked = client.asked
                await asyncio.sleep(0.1)
            now.time += 61
            app.sweep(now.time)
            with pytest.raises(UpstreamFailure) as failed:
                await task
            assert failed.value.status == 504
            done.set()

    run(story())


EXPECTS = [HOST, (b"expect", b"100-continue"), (b"content-length", b"5")]


def test_an_expectation_goes_end_to_end() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            assert b"\r\nexpect: 100-continue\r\n" in await peer.head()
            assert client.asked == 0
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await peer.read(5) == b"hello"
            await peer.send(OK)

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app, scope("POST", headers=EXPECTS), b"hello")
            assert (await client.run()).body == b"ok"
            assert app.pool.open == 1

    run(story())


def test_a_final_answer_to_an_expectation_spares_the_body() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app, scope("POST", headers=EXPECTS), b"hello")
            await client.run()
            assert (client.status, client.body, client.asked) == (401, b"no", 0)

    run(story())


def test_the_body_is_not_asked_for_before_the_final_answer_was_handed_over() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n")
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            client = Client(app, scope("POST", headers=EXPECTS), end=False)
            client.writable.clear()
            task = client.start()
            await client.until(lambda: client.status == 401)
            assert client.asked == 0
            client.writable.set()
            await client.until(lambda: client.asked == 1)
            client.leave()
            await task

    run(story())


def test_an_application_that_knows_no_expectations_gets_the_body_after_a_while() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            assert await peer.read(5) == b"hello"
            await peer.send(OK)

        async with application(script) as fake, proxy(fake, UpstreamLimits(continue_timeout=0.05)) as app:
            client = Client(app, scope("POST", headers=EXPECTS), b"hello")
            assert (await client.run()).body == b"ok"

    run(story())


def test_who_sends_a_body_byte_by_byte_gets_none_of_the_last_connections() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            if (await peer.head()).startswith(b"POST"):
                assert await peer.read(5) == b"hello"
            await peer.send(OK)

        post = scope("POST", headers=[HOST, (b"content-length", b"5")])
        async with (
            application(script) as fake,
            proxy(fake, UpstreamLimits(max_connections=2, queue_timeout=0.2)) as app,
        ):
            first, second, third = (Client(app, post, b"h", end=False) for _ in range(3))
            tasks = [client.start() for client in (first, second, third)]
            await third.until(lambda: third.asked == 2)
            assert (app.pool.open, app.pool.waiting) == (1, 0)
            assert (await Client(app, scope(headers=[HOST])).run()).body == b"ok"
            for client, task in zip((first, second, third), tasks, strict=True):
                client.say(b"ello", more=False)
                await task
                assert client.body == b"ok"

    run(story())


def test_a_client_that_leaves_with_half_a_body_leaves_nothing_behind() -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.head()
            assert await peer.read(1) == b"h"
            assert await peer.gone()

        post = scope("POST", headers=[HOST, (b"content-length", b"5")])
        async with application(script) as fake, proxy(fake, UpstreamLimits(max_connections=2)) as app:
            first, second = Client(app, post, b"h", end=False), Client(app, post, b"h", end=False)
            tasks = [first.start(), second.start()]
            await second.until(lambda: second.asked == 2)
            second.leave()
            await tasks[1]
            assert app.pool.open == 1
            first.leave()
            await tasks[0]
            assert app.pool.open == 0

    run(story())
