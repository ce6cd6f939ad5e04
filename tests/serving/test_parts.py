"""Sockets, the pid file, and how many processes `auto` is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gatekeeper.serving.pidfile import PidFile, read_pid_file
from gatekeeper.serving.processors import count_processes
from gatekeeper.serving.sockets import CannotListen, Listeners


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def test_every_worker_has_a_socket_of_its_own_at_the_same_address() -> None:
    listeners = Listeners()
    listeners.open(["127.0.0.1:0"], 3)
    sockets = [listeners.of_worker(slot, 3, ["127.0.0.1:0"]) for slot in range(3)]
    assert [len(one) for one in sockets] == [1, 1, 1]
    assert len({port_of(one[0]) for one in sockets}) == 1
    assert len({one[0].fileno() for one in sockets}) == 3
    # With fewer workers nobody's socket is left alone: what waits in it is answered by another.
    assert [len(listeners.of_worker(slot, 2, ["127.0.0.1:0"])) for slot in range(2)] == [2, 1]
    listeners.close()


def test_what_cannot_be_bound_leaves_everything_as_it_was(tmp_path: Path) -> None:
    listeners, path = Listeners(), tmp_path / "gate.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(CannotListen, match="Address already in use"),
    ):
        listeners.open([f"unix:{path}", f"127.0.0.1:{port_of(taken)}"], 2)
    assert not path.exists()
    with pytest.raises(KeyError):
        listeners.of_worker(0, 1, [f"unix:{path}"])


def test_a_unix_socket_is_shared_and_removed_when_it_is_given_up(tmp_path: Path) -> None:
    listeners, address = Listeners(), f"unix:{tmp_path / 'gate.sock'}"
    listeners.open([address], 2)
    assert listeners.of_worker(0, 2, [address]) == listeners.of_worker(1, 2, [address])
    listeners.keep_only([])
    assert list(tmp_path.iterdir()) == []


def test_the_pid_file_says_who_serves_while_they_live(tmp_path: Path) -> None:
    assert read_pid_file(tmp_path) is None
    mine, other = PidFile(tmp_path), PidFile(tmp_path)
    assert mine.take() and not other.take() and not other.held
    assert read_pid_file(tmp_path) == (os.getpid(), 0, "")
    mine.write(2, "line 3: no")
    assert read_pid_file(tmp_path) == (os.getpid(), 2, "line 3: no")
    mine.release()
    assert read_pid_file(tmp_path) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("quota", "most"), [("max 100000", 64), ("150000 100000", 2), ("20000 100000", 1)])
def test_auto_is_what_may_be_used(tmp_path: Path, quota: str, most: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert count_processes("auto", file) == min(len(os.sched_getaffinity(0)), most)
    assert count_processes("auto", tmp_path / "none") == min(len(os.sched_getaffinity(0)), 64)
    assert count_processes(7, file) == 7
