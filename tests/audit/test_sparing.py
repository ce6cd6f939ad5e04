"""A stranger's events are written at a limited rate. Time is an argument, memory is bounded."""

from __future__ import annotations

from gatekeeper.audit import sparing
from gatekeeper.audit.sparing import IN_ALL, NETWORKS, PER_NETWORK, Sparing


class Bench:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.sparing = Sparing(lambda: self.now)

    def allowed(self, client: str, times: int) -> int:
        return sum(self.sparing.allows(client) for _ in range(times))


def test_ten_a_minute_of_one_network_and_sixty_in_all() -> None:
    bench = Bench()
    assert bench.allowed("192.0.2.1", 50) == PER_NETWORK == 10
    assert sum(bench.allowed(f"198.51.100.{number}", 1) for number in range(100)) == IN_ALL - 10 == 50
    assert bench.sparing.take_not_recorded() == 90
    assert bench.sparing.take_not_recorded() == 0
    bench.now += 60.0
    assert bench.allowed("192.0.2.1", 50) == 10
    bench.now += 6.0
    assert bench.allowed("192.0.2.1", 50) == 1


def test_what_was_refused_to_one_network_is_not_taken_from_the_others() -> None:
    bench = Bench()
    bench.allowed("192.0.2.1", 10_000)
    assert bench.allowed("192.0.2.2", 10) == 10


def test_a_clock_set_back_silences_nobody() -> None:
    bench = Bench()
    bench.allowed("192.0.2.1", 10)
    bench.now -= 86_400.0
    assert bench.allowed("192.0.2.1", 50) == 10


def test_the_networks_that_are_remembered_are_bounded() -> None:
    bench = Bench()
    for number in range(3 * NETWORKS):
        bench.now += 1.0
        assert bench.allowed(f"2001:db8:{number:x}::1", 1) == 1
    assert len(vars(bench.sparing)["_full_at"]) <= NETWORKS
    assert sparing.IN_ALL < NETWORKS
