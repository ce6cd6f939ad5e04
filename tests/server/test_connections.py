"""How many connections there may be, and who is told what when there are too many."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.registry import client_key
from tests.server.memory import Bench, settle, status_of
from tests.server.wire import Recorder

REQUEST = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_beyond_the_total_a_client_is_told_503_and_then_dropped_without_a_word() -> None:
    async def story() -> None:
        bench = Bench(Recorder(), ServerLimits(connections=2, shed=1))
        first, _ = bench.connect()
        bench.connect()
        _, told = bench.connect()
        assert status_of(told) == 503 and b"retry-after: " in told.written
        _, dropped = bench.connect()
        assert dropped.aborted and not dropped.written
        assert bench.refusals == [
            ("too_many_connections", 503, "192.0.2.1"),
            ("too_many_connections", 0, "192.0.2.1"),
        ]
        await bench.pass_time(3)
        first.transport.close()
        await settle()
        protocol, transport = bench.connect()
        protocol.data_received(REQUEST)
        await settle()
        assert status_of(transport) == 200

    asyncio.run(story())


def test_one_address_cannot_take_all_connections() -> None:
    async def story() -> None:
        bench = Bench(Recorder(), ServerLimits(connections_per_client=2))
        bench.connect()
        bench.connect()
        _, third = bench.connect()
        assert status_of(third) == 429
        _, other = bench.connect(("192.0.2.2", 1))
        assert not other.written

    asyncio.run(story())


def test_trusted_proxies_and_unix_sockets_are_exempt_from_the_cap_per_client() -> None:
    async def story() -> None:
        limits = ServerLimits(connections_per_client=1, exempt=(ip_network("192.0.2.0/24"),))
        bench = Bench(Recorder(), limits)
        for peer in (("192.0.2.1", 1), ("192.0.2.1", 2), ("::ffff:192.0.2.1", 3), None, None):
            _, transport = bench.connect(peer)
            assert not transport.written
        assert bench.refusals == []

    asyncio.run(story())


def test_an_ipv6_network_counts_as_one_client() -> None:
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:1")
    assert client_key("2001:db8::1") != client_key("2001:db8:0:1::1")
    assert client_key("::ffff:192.0.2.1") == client_key("192.0.2.1")
    assert client_key("fe80::1%eth0") == client_key("fe80::2%eth0")


def test_nothing_is_left_of_a_closed_connection() -> None:
    async def story() -> None:
        bench = Bench(Recorder())
        for _ in range(5):
            protocol, transport = bench.connect()
            protocol.data_received(REQUEST)
            await settle()
            transport.close()
            await settle()
        assert not bench.registry.connections and not bench.state.connections and not bench.state.tasks
        assert not bench.registry._per_client
        assert bench.state.total_requests == 5

    asyncio.run(story())
