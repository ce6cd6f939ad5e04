"""Commands on an installation that is not there, or whose TLS files are somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli import main

YAML = "public_url: https://office.example.com\nupstream: http://127.0.0.1:3000\ndata_dir: data\n"

READING = [
    "user list",
    "user due",
    "user unlock pat",
    "user disable pat",
    "user reset-2fa pat",
    "session list",
    "session revoke --all",
    "mail queue",
    "explain /orders --user pat",
]


def run(folder: Path, words: str, more: str = "") -> Result:
    config = folder / "gatekeeper.yaml"
    config.write_text(YAML + more)
    return CliRunner().invoke(main, [*words.split(), "--config", str(config)], input="four random words\n")


@pytest.mark.parametrize("words", READING)
def test_without_a_database_nothing_is_made(tmp_path: Path, words: str) -> None:
    result = run(tmp_path, words)
    assert result.exit_code == 1
    assert f"no database at {tmp_path}/data/gatekeeper.db; is data_dir right?" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gatekeeper.yaml"]


def test_rotating_without_a_secret_makes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "secret rotate").exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["gatekeeper.yaml"]


def test_the_key_that_names_the_database_is_the_one_in_doubt(tmp_path: Path) -> None:
    result = run(tmp_path, "user list", f"database: sqlite:///{tmp_path}/other.db\n")
    assert f"no database at {tmp_path}/other.db; is database right?" in result.stderr


def test_the_first_account_makes_the_installation(tmp_path: Path) -> None:
    assert run(tmp_path, "user add pat --password-stdin").exit_code == 0
    assert "pat" in run(tmp_path, "user list").stdout


@pytest.mark.parametrize("words", ["explain /orders --user pat", "user list", "session list", "mail queue"])
def test_who_may_not_read_the_tls_key_can_look(tmp_path: Path, words: str) -> None:
    run(tmp_path, "user add pat --password-stdin")
    result = run(tmp_path, words, "tls: {cert_file: none.pem, key_file: none.key}\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert run(tmp_path, "check").exit_code == 0
    assert "tls.key_file: " in run(tmp_path, "check", "tls: {cert_file: a.pem, key_file: b.key}\n").stderr
