"""`gatekeeper doctor` as an operator or a monitoring system runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli import main
from tests.doctor.support import answering
from tests.stack.conftest import free_port
from tests.stack.process import serving


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GATEKEEPER_"):
            monkeypatch.delenv(name)


def doctor(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--config", str(config), *options])


def write(folder: Path, upstream: int, more: str = "") -> Path:
    path = folder / "gatekeeper.yaml"
    path.write_text(
        f"public_url: http://127.0.0.1:{free_port()}\nupstream: http://127.0.0.1:{upstream}\n{more}"
    )
    return path


def test_a_healthy_installation_passes(tmp_path: Path) -> None:
    with answering() as app, serving(tmp_path, f"http://127.0.0.1:{app}"):
        done = doctor(tmp_path / "gatekeeper.yaml", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    by_check = {finding["check"]: finding["level"] for finding in report["findings"]}
    assert by_check | {"mail": "ok", "clock": "ok"} == {
        "configuration": "ok",
        "data_dir": "ok",
        "secrets": "ok",
        "database": "ok",
        "mail": "ok",
        "upstream": "ok",
        "clock": "ok",
        "public_url": "ok",
        "descriptors": "ok",
    }
    assert report["level"] == "warn"  # no mail is configured


def test_something_broken_is_exit_code_1_with_advice_and_looking_makes_no_files(tmp_path: Path) -> None:
    config = write(tmp_path, free_port())
    done = doctor(config)
    assert done.exit_code == 1
    assert "FAIL  upstream" in done.output
    assert "→ is the application running" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["gatekeeper.yaml"]


def test_mistakes_in_the_configuration_are_findings_with_their_lines(tmp_path: Path) -> None:
    config = write(tmp_path, 9, "sesion: {}\n")
    done = doctor(config, "--json")
    assert done.exit_code == 1
    report = json.loads(done.output)
    assert [finding["check"] for finding in report["findings"]] == ["configuration"]
    assert f"{config}:3:1: sesion" in report["findings"][0]["text"]


def test_what_is_valid_and_seldom_meant_is_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "gatekeeper.yaml"
    config.write_text(
        f"public_url: https://127.0.0.1:{free_port()}\nlisten: 0.0.0.0:8080\n"
        f"upstream: http://127.0.0.1:{free_port()}\n"
    )
    assert "warn  configuration  speaks plain http on 0.0.0.0:8080" in doctor(config).output
