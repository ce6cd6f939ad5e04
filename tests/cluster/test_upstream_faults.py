"""The application breaks off its answers: who sees what, and that nothing is done twice."""

from __future__ import annotations

import time

from tests.cluster.application import Handler
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import PEOPLE
from tests.cluster.traffic import traffic


def times(method: str, path: str) -> int:
    return Handler.seen.count((method, path))


def test_an_application_that_resets_harms_nobody_but_whoever_asked(nodes: Cluster) -> None:
    """Before the head: 502. In the middle of a body: the connection breaks, and no half passes for all."""
    cookies = {login: nodes.sign_in(login) for login in PEOPLE}
    mine = nodes.sign_in("pat")
    with traffic(nodes, cookies) as seen:
        for number in range(10):
            assert nodes.ask(f"/early/get/{number}", mine)[0] == 502
            assert nodes.ask(f"/early/post/{number}", mine, method="POST")[0] == 502
            assert nodes.ask(f"/midway/get/{number}", mine) == (0, b"")
            assert nodes.ask(f"/midway/post/{number}", mine, method="POST") == (0, b"")
        time.sleep(0.5)
    assert len(seen.seen) > 50
    assert seen.failures() == [] and seen.strangers() == []
    for number in range(10):
        # Again only on a new connection, when an old one was closed before a byte of an answer.
        assert 1 <= times("GET", f"/early/get/{number}") <= 2
        assert times("GET", f"/midway/get/{number}") == 1
        assert times("POST", f"/early/post/{number}") == times("POST", f"/midway/post/{number}") == 1
