"""`gatekeeper keys`: what an operator sees of the keys, and how they are replaced."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatekeeper.build import create_app
from gatekeeper.cli import main
from gatekeeper.settings import load_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An installation whose server was started once."""
    path = tmp_path / "gatekeeper.yaml"
    path.write_text("public_url: http://127.0.0.1:8080\nupstream: http://127.0.0.1:3000\ndata_dir: data\n")
    start(path)
    return path


def start(path: Path) -> None:
    async def once() -> None:
        async with create_app(load_settings(path, {}, create=True)).running():
            pass

    asyncio.run(once())


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["keys", *words, "--config", str(config)])


def listed(config: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(config, "list", "--json").stdout)
    return found


def test_the_key_of_the_first_start_signs(config: Path) -> None:
    (key,) = listed(config)
    assert (key["state"], key["retires_at"]) == ("signing", None)
    assert key["kid"] in run(config, "list").stdout
    start(config)
    assert [one["kid"] for one in listed(config)] == [key["kid"]]


def test_rotate_publishes_the_next_one_and_once_only(config: Path) -> None:
    done = run(config, "rotate")
    assert done.exit_code == 0 and "signs from" in done.stdout
    assert [key["state"] for key in listed(config)] == ["signing", "next"]
    again = run(config, "rotate")
    assert again.exit_code == 1 and "waits to sign already" in again.output
    assert len(listed(config)) == 2


def test_rotate_now_withdraws_all_others(config: Path) -> None:
    (old,) = listed(config)
    done = run(config, "rotate", "--now")
    assert done.exit_code == 0 and "all others are withdrawn" in done.stdout
    (new,) = listed(config)
    assert new["kid"] != old["kid"] and new["state"] == "signing"


def test_a_key_under_a_lost_secret_is_called_unusable(config: Path) -> None:
    (config.parent / "data/secret").write_text("n0w-7f3a9c52e8b14d06a97f5c3e1b8d2046")
    assert [key["state"] for key in listed(config)] == ["unusable"]


def test_without_assertions_there_is_nothing_to_show(config: Path) -> None:
    config.write_text(config.read_text() + 'identity: {assertion: {header: ""}}\n')
    done = run(config, "list")
    assert done.exit_code == 1 and "identity.assertion.header" in done.output
