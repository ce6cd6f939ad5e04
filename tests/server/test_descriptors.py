"""File descriptors never run out: connections are capped below the limit, in a process of its own here."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys

import pytest

from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.descriptors import fit_to_descriptors, raise_descriptor_limit

SERVER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 160))
from dataclasses import replace
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.descriptors import fit_to_descriptors, raise_descriptor_limit
import tests.server.wire as wire

limits = fit_to_descriptors(ServerLimits(), raise_descriptor_limit(), upstream=0)
if sys.argv[1] == "uncapped":
    limits = replace(limits, connections=10_000)
with wire.served(wire.Recorder(), limits) as server:
    print(server.address[1], limits.connections, limits.shed, flush=True)
    sys.stdin.read()
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1] if before[1] != resource.RLIM_INFINITY else 1_048_576
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert raise_descriptor_limit() == min(hard, 1_048_576)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 1_048_576)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_connections_are_capped_below_the_limit() -> None:
    assert fit_to_descriptors(ServerLimits(), 1_000_000, upstream=100).connections == 10_000
    few = fit_to_descriptors(ServerLimits(), 1024, upstream=100)
    assert few.connections + few.shed + 100 + 64 == 1024
    with pytest.raises(ValueError, match="too few"):
        fit_to_descriptors(ServerLimits(), 64, upstream=10)


def ask_until_served(address: tuple[str, int]) -> bytes:
    """Ask again while the server is still busy burying the crowd's connections; the first answer but 503."""
    for _ in range(200):
        try:
            with socket.create_connection(address, 5) as late:
                late.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = late.recv(4096)
        except ConnectionError:
            continue
        if answer and b" 503 " not in answer:
            return answer
    return b""


@pytest.mark.parametrize("mode", ["capped", "uncapped"])
def test_a_crowd_is_shed_and_those_who_are_in_are_served(mode: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        port, connections, _ = map(int, process.stdout.readline().split())
        address = ("127.0.0.1", port)
        first = socket.create_connection(address, 5)
        crowd = [socket.create_connection(address, 5) for _ in range(200)]
        try:
            if mode == "capped":
                assert crowd[connections - 1].recv(4096).startswith(b"HTTP/1.1 503 ")
            first.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert first.recv(4096).startswith(b"HTTP/1.1 200 ")
        finally:
            for client in crowd:
                client.close()
        first.close()
        answer = ask_until_served(address)
        process.stdin.close()
        assert process.wait(15) == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
