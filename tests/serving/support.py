"""A running `gatekeeper serve` with workers, an application behind it, and somebody who asks all the time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.stack.conftest import free_port

PASSWORD = "four random words here"
COMMAND = [sys.executable, "-m", "gatekeeper"]


class App(BaseHTTPRequestHandler):
    """Answers with who asked; /slow takes a second, /slower twenty, /echo is a WebSocket."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/echo":
            self._echo()
            return
        if self.path in ("/slow", "/slower"):
            time.sleep(1.0 if self.path == "/slow" else 20.0)
        body = (self.headers.get("Remote-User") or "nobody").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _echo(self) -> None:
        """Short text frames come back (RFC 6455 section 5.2); a close frame ends it."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "upgrade")
        self.send_header(
            "sec-websocket-accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(2)) == 2:
            mask, masked = self.rfile.read(4), self.rfile.read(head[1] & 127)
            body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.wfile.write(bytes([head[0], len(body)]) + body)
            if head[0] & 15 == 8:
                return

    def log_message(self, format: str, *args: object) -> None:
        return


@contextlib.contextmanager
def application() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Installation:
    """A folder with a configuration, and the process that serves it."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "gatekeeper.yaml"
        self._upstream = upstream
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, more: str = "", *, listen: str = "") -> None:
        self.config.write_text(
            f"public_url: http://127.0.0.1:{self.port}\n"
            f"listen: {listen or f'127.0.0.1:{self.port}'}\n"
            f"upstream: http://127.0.0.1:{self._upstream}\nlog: {{level: info, format: json}}\n{more}"
        )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments, "--config", str(self.config)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return sorted(int(pid) for pid in children.split())

    def wait(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None and time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.02)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config)],
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("GATEKEEPER_")},
            )
            try:
                self.wait(lambda: '"event": "serving"' in self.log)
                yield
            finally:
                if self.process.poll() is None:
                    self.process.terminate()
                try:
                    self.process.wait(40)
                finally:
                    if self.process.poll() is None:
                        self.process.kill()


def get(port: int, path: str = "/", cookie: str = "") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        client.sendall((head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode())
        data = b""
        while piece := client.recv(65_536):
            data += piece
    return int(data.split(b" ", 2)[1]), data.partition(b"\r\n\r\n")[2]


class Load:
    """Threads that ask without a pause, on kept and on fresh connections, until `stop`.

    Every request must be answered 200 with `expected`. A kept connection that Gatekeeper closes between two
    requests is opened anew, as RFC 9112 section 9.5 has clients do; anything else is a failure.
    """

    def __init__(self, port: int, cookie: str, expected: bytes, threads: int = 6) -> None:
        self._port, self._cookie, self._expected = port, cookie, expected
        self._stop = threading.Event()
        self.answered = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _run(self, keep: bool) -> None:
        import http.client

        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
            headers = {"Cookie": self._cookie} | ({} if keep else {"Connection": "close"})
            try:
                connection.request("GET", "/x", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._note(f"{'kept' if keep else 'fresh'}: {type(error).__name__}: {error}")
                connection.close()
                connection = None
                continue
            if (answer.status, body) != (200, self._expected):
                self._note(f"{answer.status} {body[:100]!r} {answer.getheader('location')}")
            with self._lock:
                self.answered += 1
            if answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _note(self, failure: str) -> None:
        with self._lock:
            self.failures.append(failure)


class WebSocket:
    """A WebSocket of a signed-in person to /echo."""

    def __init__(self, port: int, cookie: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 15)
        self._socket.sendall(
            (
                f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
                f"Cookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ).encode()
        )
        self._file = self._socket.makefile("rb")
        status = self._file.readline()
        assert b" 101 " in status, status
        while self._file.readline() != b"\r\n":
            pass

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def echo(self, text: bytes) -> bytes:
        """Send `text`, and what came back."""
        self._socket.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)  # masked with zeros
        opcode, body = self.frame()
        assert opcode == 1, (opcode, body)
        return body

    def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and content."""
        head = self._file.read(2)
        assert len(head) == 2, "closed without a close frame"
        return head[0] & 15, self._file.read(head[1])
