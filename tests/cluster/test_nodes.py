"""Three Gatekeepers on one PostgreSQL behind nginx: any of them may go, and nobody notices."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import PEOPLE
from tests.cluster.traffic import traffic, until


def test_one_sign_in_counts_everywhere_and_so_does_its_end(nodes: Cluster) -> None:
    cookie = nodes.sign_in("ada")
    for node in nodes.nodes:
        assert nodes.ask("/page", cookie, node=node)[0] == 200
    nodes.nodes[1].run("session", "revoke", "--user", "ada")
    ended = time.monotonic()
    for node in nodes.nodes:
        until("every node knows", lambda node=node: nodes.ask("/page", cookie, node=node)[0] == 401, 3)
    assert time.monotonic() - ended < 2.0
    for node in nodes.nodes:
        assert nodes.ask("/page", cookie, node=node)[0] == 401


def test_a_killed_node_costs_nobody_an_answer(nodes: Cluster) -> None:
    """nginx asks the next one. Whoever's request was under way may see one broken answer."""
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    with traffic(nodes, cookies) as seen:
        time.sleep(1.0)
        nodes.nodes[0].kill()
        time.sleep(2.0)
        nodes.nodes[0].start()
        time.sleep(1.0)
    assert len(seen.seen) > 200
    assert seen.strangers() == []
    assert len(seen.failures()) <= len(PEOPLE), seen.failures()
    assert {one.status for one in seen.failures()} <= {0, 502}
    for cookie in cookies.values():
        assert nodes.ask("/page", cookie, node=nodes.nodes[0])[0] == 200


def test_nodes_replaced_one_after_the_other_cost_nothing_at_all(nodes: Cluster) -> None:
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    with traffic(nodes, cookies) as seen:
        for node in nodes.nodes:
            node.stop()
            node.start()
    assert len(seen.seen) > 200
    assert seen.failures() == [] and seen.strangers() == []


def test_settings_read_anew_cost_nothing_at_all(nodes: Cluster) -> None:
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    with traffic(nodes, cookies) as seen:
        for node in nodes.nodes:
            node.signal(signal.SIGHUP)
        time.sleep(4.0)
    assert len(seen.seen) > 200
    assert seen.failures() == [] and seen.strangers() == []


@pytest.mark.slow
def test_nodes_with_different_settings_beside_each_other_cost_nothing(nodes: Cluster) -> None:
    """As while a new configuration is rolled out: one after the other has it, and then loses it again."""
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    before = {node: node.config.read_text() for node in nodes.nodes}
    with traffic(nodes, cookies) as seen:
        for more in ("session: {idle_timeout: 20m}\n", ""):
            for node in nodes.nodes:
                node.config.write_text(before[node] + more)
                node.stop()
                node.start()
    assert len(seen.seen) > 200
    assert seen.failures() == [] and seen.strangers() == []
