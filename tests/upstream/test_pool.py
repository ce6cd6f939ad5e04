from __future__ import annotations

import asyncio
import os

import pytest

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.limits import UpstreamLimits
from tests.upstream.harness import OK, Client, Now, Peer, application, fetch, proxy, run, scope


async def always(peer: Peer) -> None:
    """Answer every request with the connection's number."""
    while True:
        try:
            await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % peer.number)
        except asyncio.IncompleteReadError:
            return


def test_the_connection_used_last_is_used_next() -> None:
    async def story() -> None:
        async with application(always) as fake, proxy(fake) as app:
            first = await asyncio.gather(*(fetch(app) for _ in range(3)))
            last = first[-1].body
            for _ in range(3):
                assert (await fetch(app)).body == last
            assert fake.connections == 3

    run(story())


def test_a_connection_unused_for_too_long_is_closed() -> None:
    async def story() -> None:
        now = Now()
        async with application(always) as fake, proxy(fake, UpstreamLimits(keep_alive=30), now=now) as app:
            await fetch(app)
            app.sweep(now.time + 29)
            assert app.pool.open == 1
            app.sweep(now.time + 30)
            assert app.pool.open == 0

    run(story())


@pytest.mark.parametrize(("hint", "seconds"), [(b"timeout=5, max=100", 4), (b"max=3,timeout=99", 30)])
def test_the_application_may_say_how_long_it_keeps_a_connection(hint: bytes, seconds: int) -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 204 No Content\r\nkeep-alive: " + hint + b"\r\n\r\n")
            assert await peer.gone()

        now = Now()
        async with application(script) as fake, proxy(fake, UpstreamLimits(keep_alive=30), now=now) as app:
            await fetch(app)
            app.sweep(now.time + seconds - 0.1)
            assert app.pool.open == 1
            app.sweep(now.time + seconds)
            assert app.pool.open == 0

    run(story())


def test_unused_connections_are_closed_without_being_asked() -> None:
    async def story() -> None:
        limits = UpstreamLimits(keep_alive=0.03, tick=0.01)
        async with application(always) as fake, proxy(fake, limits) as app:
            await fetch(app)
            while app.pool.open:
                await asyncio.sleep(0.01)

    run(story())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("rude", [False, True])
def test_a_connection_that_died_idle_is_not_used(method: str, rude: bool) -> None:
    async def story() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer()
            if rude:
                peer.reset()

        async with application(script) as fake, proxy(fake) as app:
            for _ in range(3):
                assert (await fetch(app, scope(method))).body == b"ok"
                await asyncio.sleep(0.02)
            assert fake.connections == 3

    run(story())


@pytest.mark.parametrize("noticed", [True, False])
def test_bytes_that_nobody_asked_for_are_nobodys_answer(noticed: bool) -> None:
    async def story() -> None:
        peers: list[Peer] = []

        async def script(peer: Peer) -> None:
            peers.append(peer)
            await peer.answer()
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            await fetch(app)
            # Straight to the socket, and no turn of the loop: nobody was told yet that they are there.
            evil = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
            os.write(peers[0].writer.get_extra_info("socket").fileno(), evil)
            if noticed:
                await asyncio.sleep(0.02)
                assert app.pool.open == 0
            assert (await fetch(app)).body == b"ok"
            assert fake.connections == 2

    run(story())


def test_a_request_that_cannot_be_repeated_takes_no_connection_that_may_be_dying() -> None:
    async def story() -> None:
        now = Now()
        async with application(always) as fake, proxy(fake, now=now) as app:
            assert (await fetch(app, scope("POST"))).body == b"1"
            assert (await fetch(app, scope("POST"))).body == b"1"
            now.time += 2
            assert (await fetch(app, scope("GET"))).body == b"1"
            now.time += 2
            assert (await fetch(app, scope("POST"))).body == b"2"

    run(story())


def test_at_the_limit_such_a_request_takes_the_place_of_an_old_connection() -> None:
    async def story() -> None:
        now = Now()
        limits = UpstreamLimits(max_connections=1)
        async with application(always) as fake, proxy(fake, limits, now=now) as app:
            await fetch(app)
            now.time += 2
            assert (await fetch(app, scope("POST"))).body == b"2"
            assert app.pool.open == 1

    run(story())


def test_whoever_waits_is_served_in_the_order_of_arrival() -> None:
    async def story() -> None:
        served: list[bytes] = []
        turn = asyncio.Semaphore(0)

        async def script(peer: Peer) -> None:
            while True:
                try:
                    head = await peer.head()
                except asyncio.IncompleteReadError:
                    return
                served.append(head.split(b" ")[1])
                await turn.acquire()
                await peer.send(OK)

        async with application(script) as fake, proxy(fake, UpstreamLimits(max_connections=2)) as app:
            clients = []
            for number in range(8):
                clients.append(Client(app, scope(path=b"/%d" % number)).start())
                await asyncio.sleep(0)
            while len(served) < 2:
                await asyncio.sleep(0.001)
            assert app.pool.waiting == 6
            for _ in range(8):
                turn.release()
                await asyncio.sleep(0.005)
            await asyncio.gather(*clients)
            assert sorted(served[:2]) == [b"/0", b"/1"]
            assert served[2:] == [b"/%d" % number for number in range(2, 8)]
            assert fake.connections == 2 and app.pool.open == 2

    run(story())


def test_one_client_leaves_a_quarter_to_the_others() -> None:
    async def story() -> None:
        release = asyncio.Event()
        served: list[bytes] = []

        async def script(peer: Peer) -> None:
            while True:
                try:
                    head = await peer.head()
                except asyncio.IncompleteReadError:
                    return
                path = head.split(b" ")[1]
                served.append(path)
                if path.startswith(b"/slow"):
                    await release.wait()
                await peer.send(OK)

        def of(client: str, path: bytes) -> asyncio.Task[Client]:
            asked = scope(path=path)
            asked["client"] = (client, 1)
            return Client(app, asked).start()

        async with application(script) as fake, proxy(fake, UpstreamLimits(max_connections=8)) as app:
            slow = [of("192.0.2.6", b"/slow/%d" % number) for number in range(20)]
            while len(served) < 6:
                await asyncio.sleep(0.001)
            assert (fake.connections, app.pool.waiting) == (6, 14)
            quick = [of("192.0.2.7", b"/quick/%d" % number) for number in range(5)]
            assert [(await one).body for one in quick] == [b"ok"] * 5
            assert len([path for path in served if path.startswith(b"/slow")]) == 6
            release.set()
            assert [(await one).body for one in slow] == [b"ok"] * 20
            assert served[-14:] == [b"/slow/%d" % number for number in range(6, 20)]
            assert (await of("192.0.2.6", b"/quick/again")).body == b"ok"
            assert fake.connections <= 8 and app.pool.waiting == 0

    run(story())


def test_who_gives_up_waiting_for_a_share_gives_it_back() -> None:
    """Cancelled, or handed a place in the very turn of it: nothing stays counted."""

    async def story() -> None:
        async with application(always) as fake, proxy(fake, UpstreamLimits(max_connections=4)) as app:
            held = [await app.pool.acquire("a") for _ in range(3)]
            loop = asyncio.get_running_loop()
            for handed in (False, True):
                waiting = loop.create_task(app.pool.acquire("a"))
                await asyncio.sleep(0)
                assert app.pool.waiting == 1 and app.pool.open == 3
                if handed:
                    app.pool.released(held.pop())
                waiting.cancel()
                await asyncio.wait([waiting])
                assert app.pool.waiting == 0
            again = await app.pool.acquire("a")
            for connection in (*held, again):
                app.pool.released(connection)
            for _ in range(3):
                assert app.pool.take("a", repeatable=True) is not None
            assert app.pool.take("a", repeatable=True) is None

    run(story())


def test_the_limit_holds_when_every_connection_is_closed_after_use() -> None:
    async def story() -> None:
        open_now = most = 0

        async def script(peer: Peer) -> None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await peer.head()
            await asyncio.sleep(0.002)
            open_now -= 1
            await peer.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")

        async with application(script) as fake, proxy(fake, UpstreamLimits(max_connections=3)) as app:
            clients = await asyncio.gather(*(fetch(app) for _ in range(30)))
            assert {client.body for client in clients} == {b"ok"}
            assert most <= 3 and fake.connections == 30 and app.pool.open == 0

    run(story())


def test_who_waits_too_long_is_told_to_come_back() -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await release.wait()
            await peer.send(OK)
            await peer.answer()

        limits = UpstreamLimits(max_connections=1, queue_timeout=0.05)
        async with application(script) as fake, proxy(fake, limits) as app:
            busy = Client(app).start()
            await asyncio.sleep(0)
            with pytest.raises(UpstreamFailure) as failed:
                await fetch(app)
            assert (failed.value.status, failed.value.reason) == (503, "upstream_busy")
            assert app.pool.waiting == 0
            release.set()
            assert (await busy).body == b"ok"
            assert (await fetch(app)).body == b"ok"

    run(story())


def test_who_stops_waiting_leaves_no_gap() -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            await release.wait()
            await peer.send(OK)
            await peer.answer()

        async with application(script) as fake, proxy(fake, UpstreamLimits(max_connections=1)) as app:
            tasks = []
            for _ in range(3):
                tasks.append(Client(app).start())
                await asyncio.sleep(0)
            busy, impatient, patient = tasks
            impatient.cancel()
            release.set()
            assert (await busy).body == (await patient).body == b"ok"
            assert impatient.cancelled() or (await asyncio.wait([impatient]))
            assert fake.connections == 1 and app.pool.open == 1

    run(story())


def test_who_is_cancelled_when_handed_a_connection_passes_it_on() -> None:
    async def story() -> None:
        async with application(always) as fake, proxy(fake, UpstreamLimits(max_connections=1)) as app:
            held = await app.pool.acquire("")
            waiting = asyncio.get_running_loop().create_task(app.pool.acquire(""))
            next_one = asyncio.get_running_loop().create_task(app.pool.acquire(""))
            await asyncio.sleep(0)
            app.pool.released(held)
            waiting.cancel()
            assert await next_one is held
            app.pool.released(held)
            assert (await fetch(app)).body == b"1"

    run(story())


@pytest.mark.parametrize("closed", [False, True])
def test_who_was_cancelled_in_the_same_turn_is_handed_nothing(closed: bool) -> None:
    """Signing out cuts all answers of a session at once: those under way, and those still in line."""

    async def story() -> None:
        async with application(always) as fake, proxy(fake, UpstreamLimits(max_connections=1)) as app:
            held = await app.pool.acquire("a")
            waiting = [asyncio.get_running_loop().create_task(app.pool.acquire(who)) for who in "aab"]
            await asyncio.sleep(0)
            for impatient in waiting[:2]:
                impatient.cancel()
            if closed:
                held.abort()
            else:
                app.pool.released(held)
            patient = await waiting[2]
            assert (patient is held) is not closed
            assert (app.pool.open, app.pool.waiting) == (1, 0)
            app.pool.released(patient)
            assert app.pool.take("a", repeatable=True) is patient

    run(story())


def test_a_failed_connection_attempt_gives_its_place_back() -> None:
    async def story() -> None:
        async with application(always) as fake:
            origin = fake.origin
        async with proxy(origin, UpstreamLimits(max_connections=1)) as app:
            answers = await asyncio.gather(*(fetch(app) for _ in range(3)), return_exceptions=True)
            assert [getattr(answer, "status", 0) for answer in answers] == [502, 502, 502]
            assert app.pool.open == 0

    run(story())


def test_closing_ends_idle_connections_and_those_that_come_back() -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.head()
            if peer.number == 2:
                await release.wait()
            await peer.send(OK)
            assert await peer.gone()

        async with application(script) as fake, proxy(fake) as app:
            await fetch(app)
            held = app.pool.take("", repeatable=True)
            assert held is not None
            busy = Client(app).start()
            while fake.connections < 2:
                await asyncio.sleep(0.001)
            app.pool.released(held)
            await app.pool.aclose()
            assert app.pool.open == 1
            release.set()
            assert (await busy).body == b"ok"
            assert app.pool.open == 0

    run(story())
