"""Redis goes away under load: who sees what, for how long, and that nobody who was signed out comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.cluster.cluster import Cluster, cluster
from tests.cluster.conftest import OTHERS, PEOPLE
from tests.cluster.faults import NOTICE, Ended, fault
from tests.cluster.traffic import until
from tests.servers.faults import FaultProxy, fault_proxy
from tests.servers.redis import PASSWORD, RedisServer, sentinels
from tests.sessions.test_redis import servers

pytestmark = pytest.mark.slow

HEALED = 5.0
FAILOVER = 12.0
"""Seconds until Sentinel has named another master (it takes the first for dead after one) and is followed."""


def settings(store: str) -> str:
    return f'session: {{store: "{store}", store_password: {PASSWORD}}}\n'


def with_people(made: Cluster) -> Cluster:
    for login in PEOPLE + OTHERS:
        made.add_user(login)
    return made


@pytest.fixture(scope="module")
def one() -> Iterator[tuple[Cluster, RedisServer, FaultProxy]]:
    """Two nodes and one Redis, with a proxy before it."""
    with (
        servers(()) as (server,),
        fault_proxy(server.port) as place,
        cluster(2, settings(f"redis://127.0.0.1:{place.port}/0")) as made,
    ):
        yield with_people(made), server, place


def test_a_redis_that_does_not_answer_is_noticed_by_those_alone_whom_no_node_remembers(
    one: tuple[Cluster, RedisServer, FaultProxy],
) -> None:
    """An operator who ends somebody's sessions meanwhile is obeyed: the database is told first."""
    nodes, _, place = one
    pat, stranger = nodes.sign_in("pat"), nodes.sign_in("out")
    for node in nodes.nodes:
        assert nodes.ask("/page", pat, node=node)[0] == 200

    def revoke(ended: Ended) -> None:
        revoke_without_redis(nodes)
        ended.add("pat", pat, notice=NOTICE)
        began = time.monotonic()
        assert nodes.ask("/page", stranger, node=nodes.nodes[1])[0] in (200, 503)
        assert time.monotonic() - began < 4.0

    felt = fault(nodes, place.stall, place.resume, seconds=8.0, during=revoke)
    assert felt.shortage.statuses <= {503} and felt.shortage.untold == 0
    assert felt.shortage.longest < 4.0 and felt.healed < HEALED


def test_a_redis_that_comes_back_empty_signs_everybody_out_and_nobody_in(
    one: tuple[Cluster, RedisServer, FaultProxy],
) -> None:
    nodes, server, _ = one
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    server.server.stop()
    server.server.start()
    for node in nodes.nodes:
        node.stop()
        node.start()  # without what they remembered
    for cookie in cookies.values():
        for node in nodes.nodes:
            assert nodes.ask("/page", cookie, node=node)[0] == 401
    assert nodes.ask("/page", nodes.sign_in("ada"))[0] == 200


def test_a_failover_by_sentinel(tmp_path: Path) -> None:
    with servers(("--masterauth", PASSWORD)) as (master,):
        replication = ("--replicaof", f"127.0.0.1 {master.port}", "--masterauth", PASSWORD)
        with servers(replication) as _, sentinels(tmp_path, master.port) as ports:
            places = ",".join(f"127.0.0.1:{port}" for port in ports)

            def known() -> bool:
                with redis.Redis(port=ports[0], decode_responses=True) as sentinel:
                    state = sentinel.sentinel_master("sessions")
                    return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)

            until("Sentinels know each other", known, 20)
            with cluster(2, settings(f"redis+sentinel://{places}/sessions")) as nodes:
                with_people(nodes)
                pat = nodes.sign_in("pat")

                def revoke(ended: Ended) -> None:
                    revoke_without_redis(nodes)
                    ended.add("pat", pat, notice=NOTICE)

                felt = fault(nodes, master.server.kill, lambda: None, seconds=1.0, during=revoke)
                assert felt.shortage.statuses <= {503} and felt.shortage.untold == 0
                assert felt.shortage.longest < 5.0 and felt.healed < FAILOVER
                until("people sign in again", lambda: signs_in(nodes), FAILOVER)


def revoke_without_redis(nodes: Cluster) -> None:
    """The operator is told of Redis; the sessions have ended by what was committed before."""
    code, told = nodes.operator.try_to_run("session", "revoke", "--user", "pat")
    assert code != 0 and "Redis does not answer" in told


def signs_in(nodes: Cluster) -> bool:
    try:
        return nodes.ask("/page", nodes.sign_in("ada"))[0] == 200
    except AssertionError:
        return False
