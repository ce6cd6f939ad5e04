"""The whole Gatekeeper in front of an application that records bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.server.cases import HOST
from tests.stack.whole import Whole, whole
from tests.wall.recording import Recording, recording

PUBLIC_URL = "http://" + HOST.decode()


class Wall(NamedTuple):
    gate: Whole
    application: Recording


@contextlib.contextmanager
def make_wall(folder: Path, **settings: Any) -> Iterator[Wall]:
    settings.setdefault("public_url", PUBLIC_URL)
    with (
        recording() as application,
        whole(
            folder,
            f"http://127.0.0.1:{application.port}",
            allow_insecure_public_url=True,
            **settings,
        ) as gate,
    ):
        yield Wall(gate, application)
        assert application.broken == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wall]:
    """As configured by default: everything needs a sign-in."""
    with make_wall(tmp_path_factory.mktemp("guarded")) as wall:
        yield wall


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wall]:
    """Everything is public, but for what is denied."""
    rules = [{"path": "/secret", "allow": "deny"}, {"path": "/secret/**", "allow": "deny"}]
    with make_wall(
        tmp_path_factory.mktemp("public"), rules=[*rules, {"path": "/**", "allow": "public"}]
    ) as wall:
        yield wall
