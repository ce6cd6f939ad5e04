"""An installation with one account, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.support import PASSWORD, Installation, application


@pytest.fixture(scope="session")
def upstream() -> Iterator[int]:
    with application() as port:
        yield port


@pytest.fixture(scope="session")
def with_ada(tmp_path_factory: pytest.TempPathFactory, upstream: int) -> Path:
    installation = Installation(tmp_path_factory.mktemp("installation"), upstream)
    installation.write()
    added = installation.run("user", "add", "ada", "--password-stdin", stdin=PASSWORD)
    assert added.returncode == 0, added.stderr
    return installation.folder / "data"


@pytest.fixture
def made(tmp_path: Path, upstream: int, with_ada: Path) -> Installation:
    installation = Installation(tmp_path, upstream)
    shutil.copytree(with_ada, tmp_path / "data")
    installation.write("processes: 2\ndrain_timeout: 5s\n")
    return installation
