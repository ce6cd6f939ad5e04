"""`gatekeeper demo` as a newcomer starts it: its own process, a real folder, real ports."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gatekeeper.cli import main
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving

NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Demo:
    """A running demo and what it printed until it was ready."""

    def __init__(self, process: subprocess.Popen[str], banner: str) -> None:
        self.process = process
        self.banner = banner
        found = re.search(r"Open +(http://127\.0\.0\.1:\d+)/", banner)
        assert found, banner
        self.address = found[1]


@contextlib.contextmanager
def running_demo(folder: Path, *options: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", "demo", "--listen", "127.0.0.1:0", "--data", folder, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            yield Demo(process, "".join(lines))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def refused(*options: str | Path) -> str:
    """What the command says when it does not start."""
    result = CliRunner().invoke(main, ["demo", *map(str, options)])
    assert result.exit_code in (1, 2), result.output
    return result.output


def test_stands_in_front_of_the_sample_application(tmp_path: Path) -> None:
    with running_demo(tmp_path / "data") as demo:
        answer = httpx.get(f"{demo.address}/orders?q=lamp", headers=NAVIGATION)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/_gate/login?next=")
        assert httpx.get(f"{demo.address}/orders").status_code == 401
        assert re.search(rf"First +{demo.address}/_gate/setup#\S{{20,}}\n", demo.banner)
    assert demo.process.returncode == 0


def test_stands_in_front_of_the_application_that_is_named(tmp_path: Path) -> None:
    with (
        serving(make_sample()) as port,
        running_demo(tmp_path / "data", "--upstream", f"http://127.0.0.1:{port}") as demo,
    ):
        assert f"in front of http://127.0.0.1:{port}" in demo.banner
        assert httpx.get(f"{demo.address}/", headers=NAVIGATION).status_code == 303


def test_its_configuration_serves_the_other_commands(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_demo(folder):
        result = CliRunner().invoke(main, ["check", "--config", str(folder / "gatekeeper.yaml")])
        assert result.exit_code == 0, result.output


def test_keeps_its_folder_to_one_person(tmp_path: Path) -> None:
    with running_demo(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with running_demo(tmp_path / "data"):
        assert "another demo is running" in refused("--data", tmp_path / "data", "--listen", "127.0.0.1:0")


def test_fresh_forgets_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_demo(folder):
        secret = (folder / "secret").read_text()
    with running_demo(folder):
        assert (folder / "secret").read_text() == secret
    with running_demo(folder, "--fresh"):
        assert (folder / "secret").read_text() != secret


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear all")
    assert "not a demo's" in refused("--data", tmp_path, "--fresh")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "example.com:80"])
def test_refuses_to_listen_beyond_this_machine(tmp_path: Path, listen: str) -> None:
    assert "not this machine alone" in refused("--data", tmp_path / "data", "--listen", listen)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("listen", ["127.0.0.1", "nonsense:x", ""])
def test_an_address_that_is_none_is_said_so(tmp_path: Path, listen: str) -> None:
    assert "Invalid value for '--listen'" in refused("--data", tmp_path / "data", "--listen", listen)


def test_a_taken_port_names_another(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused("--data", tmp_path / "data", "--listen", f"127.0.0.1:{port}")
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert re.search(r"Try: --listen 127\.0\.0\.1:\d+", said)


def test_a_wrong_upstream_is_explained(tmp_path: Path) -> None:
    said = refused("--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--upstream", "ftp://127.0.0.1")
    assert "upstream" in said
