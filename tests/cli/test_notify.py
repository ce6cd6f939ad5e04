"""systemd hears when Gatekeeper can be asked, and when it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gatekeeper.serving.notify import READY, STOPPING, notify
from tests.cli.test_serve import free_port, write


@pytest.fixture
def manager() -> Iterator[tuple[str, socket.socket]]:
    """Its socket, at a path short enough for one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        listener.bind(f"{folder}/n")
        listener.settimeout(30)
        yield f"{folder}/n", listener


def test_ready_once_connections_are_accepted_and_stopping_at_the_end(
    manager: tuple[str, socket.socket], tmp_path: Path
) -> None:
    address, listener = manager
    port = free_port()
    command = [sys.executable, "-m", "gatekeeper", "serve", "--config", str(write(tmp_path, port, 9))]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEKEEPER_")}
    process = subprocess.Popen(command, env=environ | {"NOTIFY_SOCKET": address}, stderr=subprocess.DEVNULL)
    try:
        assert listener.recv(100) == b"READY=1"
        socket.create_connection(("127.0.0.1", port), 5).close()
        process.send_signal(signal.SIGTERM)
        assert listener.recv(100) == b"STOPPING=1"
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_an_abstract_name() -> None:
    name = f"gatekeeper-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(5)
        notify(READY, {"NOTIFY_SOCKET": "@" + name})
        assert listener.recv(100) == b"READY=1"


def test_without_a_manager_nothing_happens_and_a_deaf_one_is_logged(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        notify(STOPPING, {})
        assert logs == []
        notify(STOPPING, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert [entry["state"] for entry in logs] == ["STOPPING=1"]
