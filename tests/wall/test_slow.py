"""Slow clients by the thousand (slowhttptest): others' requests go on, the slow ones are cut off.

Everything comes from one address here, so the cap of connections for each client is raised out of the way.
The limits are wide, because other programs may be busy on the same machine; `./run test --all -s` prints the
rows of the table in docs/security.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import echo  # noqa: F401 - a fixture
from tests.stack.process import Served, serving
from tests.wall.slow import Observed, attack, sockets

CONFIGURATION = """
limits: {connections_per_client: 5000}
rules:
  - {path: /upload, allow: public}
"""
MOST_MEMORY = 150 * 1024
"""KiB beyond what it had: 150 for each of a thousand connections."""
SLOWEST = 5.0
"""Seconds for another person's request; about 0.2 on a quiet machine."""
GONE = "No open connections left"


@pytest.fixture
def served(tmp_path: Path, echo: str) -> Iterator[Served]:  # noqa: F811
    with serving(tmp_path, echo, CONFIGURATION) as running:
        yield running


def check(served: Served, observed: Observed, connections: int, *, within: float) -> None:
    """`within` seconds most of the connections must be gone, with room for a busy machine."""
    print("\n" + observed.row())
    assert observed.connections_most >= connections * 0.9, "the attack did not take place"
    assert observed.failures == []
    assert observed.held < within
    assert len(observed.latencies) >= 10
    assert max(observed.latencies) < SLOWEST
    assert observed.memory_most - observed.memory_before < MOST_MEMORY
    deadline = time.monotonic() + 15
    while sockets(served.pid) > 20:  # listeners, kept connections to the application
        assert time.monotonic() < deadline, "connections are left behind"
        time.sleep(0.1)


def test_a_hundred_slow_headers(served: Served) -> None:
    options = ("-H", "-c", "100", "-r", "200", "-i", "4")
    observed = attack(served, "slow header", *options, path="/", seconds=60)
    check(served, observed, 100, within=30)
    assert observed.ending == GONE  # 10 s for a head


@pytest.mark.slow
def test_a_thousand_slow_headers(served: Served) -> None:
    options = ("-H", "-c", "1000", "-r", "400", "-i", "4")
    observed = attack(served, "slow header", *options, path="/", seconds=90)
    check(served, observed, 1000, within=45)
    assert observed.ending == GONE


@pytest.mark.slow
def test_a_thousand_slow_bodies_for_the_application(served: Served) -> None:
    """To a public path: nobody has to sign in for it. Each is below 50 bytes a second: 20 s."""
    options = ("-B", "-c", "1000", "-r", "400", "-i", "5", "-s", "8192")
    observed = attack(served, "slow body", *options, path="/upload", seconds=90)
    check(served, observed, 1000, within=60)
    assert observed.ending == GONE


@pytest.mark.slow
def test_a_thousand_slow_bodies_for_the_sign_in_form(served: Served) -> None:
    options = ("-B", "-c", "1000", "-r", "400", "-i", "5", "-s", "8192")
    observed = attack(served, "slow body, sign-in form", *options, path="/_gate/login", seconds=90)
    check(served, observed, 1000, within=60)
    assert observed.ending == GONE


@pytest.mark.slow
def test_a_thousand_slow_readers(served: Served) -> None:
    """Of pages that fit into the kernel's buffers, as most do; each of them signed in.

    What the kernel holds costs us a descriptor for as long as an idle connection may last: 75 s.
    """
    options = ("-X", "-c", "1000", "-r", "400", "-n", "5", "-z", "32", "-w", "64", "-y", "128", "-k", "3")
    observed = attack(served, "slow read", *options, "-j", served.cookie, path="/download/2", seconds=120)
    check(served, observed, 1000, within=110)
