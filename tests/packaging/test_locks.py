"""The lock files: complete, pinned, hashed, and silent about where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))


def pins(name: str) -> dict[str, str]:
    """Package to version, checking that each has a hash."""
    found = {}
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    for block in re.split(r"\n(?=\S)", "\n".join(lines)):
        match = re.match(r"([a-z0-9-]+)==(\S+) \\\n", block)
        assert match, block
        hashes = re.findall(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$", block, re.MULTILINE)
        assert len(hashes) == block.count("\n"), match[1]
        found[match[1]] = match[2]
    return found


def normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    assert pins(name)


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_is_in_a_lock_file(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--(index|extra-index|find|trusted)", text)


def test_what_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    running, testing = pins("requirements.lock"), pins("requirements-test.lock")
    assert {normal(each) for each in project["dependencies"]} <= running.keys()
    assert {normal(each) for each in project["optional-dependencies"]["test"]} <= testing.keys()


def test_what_is_tested_is_what_runs() -> None:
    running, testing = pins("requirements.lock"), pins("requirements-test.lock")
    assert running == {name: testing.get(name) for name in running}
