"""`gatekeeper serve`: start, refuse to start, stop without hurting anybody."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SLOW_SECONDS = 1.0


class Slow(BaseHTTPRequestHandler):
    """Answers after a while; says on `began` that a request has arrived."""

    began = threading.Event()

    def do_GET(self) -> None:
        self.began.set()
        time.sleep(SLOW_SECONDS)
        self.send_response(200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def slow() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(folder: Path, port: int, upstream: int, more: str = "") -> Path:
    path = folder / "gatekeeper.yaml"
    path.write_text(
        f"public_url: http://127.0.0.1:{port}\nlisten: 127.0.0.1:{port}\n"
        f"upstream: http://127.0.0.1:{upstream}\nrules: [{{allow: public}}]\n{more}"
    )
    return path


@contextlib.contextmanager
def serving(config: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", "serve", "--config", str(config)],
        stderr=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("GATEKEEPER_")},
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, process.communicate()
                time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_stop_lets_requests_under_way_finish(tmp_path: Path, slow: int) -> None:
    port = free_port()
    Slow.began.clear()
    with (
        serving(write(tmp_path, port, slow), port) as process,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
    ):
        connection.request("GET", "/")
        assert Slow.began.wait(10)
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"done")
        assert process.wait(20) == 0
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert any(line["event"] == "serving" for line in lines)
    assert [line["status"] for line in lines if line["event"] == "request"] == [200]


def test_a_stop_says_goodbye_to_websockets_on_both_sides(tmp_path: Path) -> None:
    codes: list[int] = []

    async def chat(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)
        codes.append(connection.close_code or 0)

    ready, port, stop = threading.Event(), free_port(), threading.Event()
    upstream: list[int] = []

    async def run() -> None:
        async with serve_websocket(chat, "127.0.0.1", 0) as server:
            upstream.append(next(iter(server.sockets)).getsockname()[1])
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(10)
        with (
            serving(write(tmp_path, port, upstream[0]), port) as process,
            connect(f"ws://127.0.0.1:{port}/", proxy=None) as client,
        ):
            client.send("hello")
            assert client.recv(10) == "hello"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                client.recv(10)
            assert client.close_code == 1001
            assert process.wait(20) == 0
    finally:
        stop.set()
        thread.join()
    assert codes == [1001]


def test_a_taken_address_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = write(tmp_path, port, 9)
        done = subprocess.run(
            [sys.executable, "-m", "gatekeeper", "serve", "--config", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.strip() == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_bad_yaml_names_file_line_and_column_and_starts_nothing(tmp_path: Path) -> None:
    config = write(tmp_path, free_port(), 9, more="sesion: {idle_timeout: 5m}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{config}:5:1: sesion:" in done.stderr
    assert "did you mean session" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_unix_socket_is_served_and_removed(tmp_path: Path, slow: int) -> None:
    port, path = free_port(), tmp_path / "gate.sock"
    config = write(tmp_path, port, slow)
    listen = f"listen: [127.0.0.1:{port}, 'unix:{path}']"
    config.write_text(config.read_text().replace(f"listen: 127.0.0.1:{port}", listen))
    with serving(config, port) as process:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            host = f"127.0.0.1:{port}"
            client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert path.stat().st_mode & 0o777 == 0o660
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not path.exists()
