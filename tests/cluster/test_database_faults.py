"""PostgreSQL goes away under load, and comes back: who sees what, and for how long."""

from __future__ import annotations

import signal

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import PEOPLE
from tests.cluster.faults import NOTICE, Ended, Felt, fault
from tests.servers.postgres import postgres

HEALED = 5.0
"""Seconds after which everybody is served again by every node."""


def told_to_wait(felt: Felt, seconds: float, *, longest: float) -> None:
    """503 with Retry-After while the database was away, nothing else, and nobody waited long."""
    shortage = felt.shortage
    assert shortage.answers > 0 and shortage.statuses == {503} and shortage.untold == 0, shortage
    assert shortage.lasted < seconds + HEALED and felt.healed < HEALED, felt
    assert shortage.longest < longest, shortage


def test_a_restart_of_postgresql_is_503_while_it_lasts(nodes: Cluster) -> None:
    server = postgres().server
    told_to_wait(fault(nodes, server.stop, server.start, seconds=3.0), 3.0, longest=2.0)


@pytest.mark.slow
def test_a_crash_of_postgresql_brings_nobody_back(nodes: Cluster) -> None:
    server = postgres().server

    def crash() -> None:
        server.signal(signal.SIGQUIT)
        server.stop()

    told_to_wait(fault(nodes, crash, server.start, seconds=8.0), 8.0, longest=2.0)


@pytest.mark.slow
def test_a_black_hole_costs_nobody_more_than_a_few_seconds_an_answer(nodes: Cluster) -> None:
    """An operator who can still reach the database ends somebody's sessions: the nodes cannot hear of it."""
    pat = nodes.sign_in("pat")
    for node in nodes.nodes:
        assert nodes.ask("/page", pat, node=node)[0] == 200

    def revoke(ended: Ended) -> None:
        assert "1 session ended" in nodes.operator.run("session", "revoke", "--user", "pat")
        ended.add("pat", pat, notice=NOTICE)

    felt = fault(nodes, nodes.database.stall, nodes.database.resume, seconds=12.0, during=revoke)
    told_to_wait(felt, 12.0, longest=5.0)
    assert felt.shortage.answers >= len(PEOPLE) * 2
