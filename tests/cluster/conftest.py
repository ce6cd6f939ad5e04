"""Three nodes for all tests of the suite; every test leaves them serving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, cluster

PEOPLE = ("ada", "eve", "joe", "kim")
OTHERS = ("out", "pat")
"""For what happens to one person while the others work."""


@pytest.fixture(scope="session")
def nodes() -> Iterator[Cluster]:
    with cluster(3, "drain_timeout: 10s\n") as made:
        for login in PEOPLE + OTHERS:
            made.add_user(login)
        yield made
