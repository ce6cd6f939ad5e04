"""An application made of bytes: it keeps all that reaches it exactly as it came, and answers 200."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: ([0-9]+)(?=\r\n)")
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"


@dataclass(frozen=True)
class Arrived:
    """One request as it came. `head` ends with its empty line; `framed` is the body with its framing."""

    head: bytes
    framed: bytes
    body: bytes

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]


class Torn(Exception):
    """The connection ended before a request was whole."""


@dataclass
class Recording:
    """`port` listens; `arrived` are whole requests; `torn` is what came of others (a refused body)."""

    port: int
    arrived: list[Arrived] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What Gatekeeper sent and never may: requests with two framings, malformed chunks."""

    def clear(self) -> None:
        self.arrived.clear()
        self.torn.clear()


class _Reader:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.data = b""

    def more(self) -> None:
        piece = self._connection.recv(65536)
        if not piece:
            raise Torn
        self.data += piece

    def until(self, mark: bytes, start: int = 0) -> int:
        """The index behind `mark`."""
        while (found := self.data.find(mark, start)) < 0:
            self.more()
        return found + len(mark)

    def request(self) -> Arrived:
        end = self.until(b"\r\n\r\n")
        head = self.data[:end]
        lengths = _LENGTH.findall(head)
        chunked = head.count(_CHUNKED)
        if len(lengths) + chunked > 1:
            raise ValueError(f"two framings: {head!r}")
        if chunked:
            stop, body = self._chunks(end)
        else:
            stop = end + (int(lengths[0]) if lengths else 0)
            while len(self.data) < stop:
                self.more()
            body = self.data[end:stop]
        arrived = Arrived(head, self.data[end:stop], body)
        self.data = self.data[stop:]
        return arrived

    def _chunks(self, at: int) -> tuple[int, bytes]:
        body = b""
        while True:
            behind = self.until(b"\r\n", at)
            line = self.data[at : behind - 2]
            if not re.fullmatch(rb"[1-9a-f][0-9a-f]*|0", line):
                raise ValueError(f"chunk size {line!r}")
            size = int(line, 16)
            at = behind + size + 2
            while len(self.data) < at:
                self.more()
            if self.data[at - 2 : at] != b"\r\n":
                raise ValueError(f"chunk of {line!r} ends with {self.data[at - 2 : at]!r}")
            if size == 0:
                return at, body
            body += self.data[behind : at - 2]


@contextlib.contextmanager
def recording() -> Iterator[Recording]:
    """Listens while the block runs; answers each request with its target as the body."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        result = Recording(listener.getsockname()[1])
        connections: list[socket.socket] = []

        def serve(connection: socket.socket) -> None:
            reader = _Reader(connection)
            with connection, contextlib.suppress(OSError):
                try:
                    while True:
                        arrived = reader.request()
                        result.arrived.append(arrived)
                        body = b"" if arrived.head.startswith(b"HEAD ") else arrived.target
                        connection.sendall(ANSWER % (len(arrived.target), body))
                except Torn:
                    if reader.data:
                        result.torn.append(reader.data)
                except ValueError as error:
                    result.broken.append(str(error))

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield result
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
