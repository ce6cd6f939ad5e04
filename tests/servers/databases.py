"""The database of a test: a file in its folder, or one on the PostgreSQL of the test run.

Tests with the marker `databases` run on both, with `--all` every test of a suite whose conftest.py has
`from tests.servers.databases import *`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.storage.engine import Database
from tests.servers.postgres import PASSWORD, USER, postgres

__all__ = ["database", "pytest_generate_tests"]

_chosen: dict[Path, str] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("databases") is not None
    everything = metafunc.config.getoption("--all") and "tmp_path" in metafunc.fixturenames
    if marked or everything:
        kinds = ["sqlite", "postgresql"]
        if metafunc.definition.get_closest_marker("sqlite") is not None:
            kinds = ["sqlite"]
        metafunc.parametrize("database", kinds, indirect=True)


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """ "sqlite" or "postgresql": what `make_database` makes in this test's folder."""
    kind: str = getattr(request, "param", "sqlite")
    if kind == "postgresql":
        choose_postgresql(tmp_path)
    yield kind
    _chosen.pop(tmp_path, None)


def choose_postgresql(folder: Path) -> None:
    """Let `make_database` of this folder lead to a new database on the server."""
    _chosen[folder] = postgres().new_database()


def make_database(folder: Path) -> Database:
    """The test's database, not yet open. Several of one folder are several processes on one database."""
    url = _chosen.get(folder)
    if url is None:
        return Database(f"sqlite:///{folder / 'gatekeeper.db'}", data_dir=folder)
    return Database(url, password=PASSWORD)


def settings_for(folder: Path) -> dict[str, str]:
    """The keys of the configuration that lead to the same database."""
    url = _chosen.get(folder)
    return {} if url is None else {"database": url, "database_password": PASSWORD}


def write_settings(folder: Path, text: str = "") -> Path:
    """A configuration file of an operator's that leads to the same database; `text` are further lines."""
    config = folder / "gatekeeper.yaml"
    keys = settings_for(folder)
    if keys:
        keys["secret"] = "the same one on every node: 0123456789abcdef"
    lines = ["public_url: http://127.0.0.1:8080", "data_dir: ."]
    lines += [f"{name}: {json.dumps(value)}" for name, value in keys.items()]
    config.touch(mode=0o600)
    config.write_text("\n".join(lines) + "\n" + text)
    return config


def read_now(folder: Path, query: str) -> Any:
    """The only value that `query` finds in the test's database, asked past everything that is tested."""
    url = _chosen.get(folder)
    if url is None:
        with contextlib.closing(sqlite3.connect(folder / "gatekeeper.db")) as connection:
            return connection.execute(query).fetchone()[0]
    return postgres().execute(query, url.rpartition("/")[2])[0][0]


def through_proxy(folder: Path, port: int) -> Database:
    """The test's database on the server, reached by way of another port."""
    name = _chosen[folder].rpartition("/")[2]
    return Database(f"postgresql+psycopg://{USER}@127.0.0.1:{port}/{name}", password=PASSWORD)
