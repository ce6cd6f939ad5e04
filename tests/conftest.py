"""What every suite shares: `--all` also runs the slow tests, and generates far more (tests/fuzz.py)."""

from __future__ import annotations

import os

import pytest

from tests.fuzz import FULL, VARIABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all"):
        os.environ.setdefault(VARIABLE, str(FULL))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
