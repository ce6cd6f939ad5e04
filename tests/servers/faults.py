"""A TCP proxy that can do to a connection what networks do: cut it, or let nothing through any more."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator


class FaultProxy:
    """Passes bytes between its own `port` and `target` in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        """Where new connections are led; may be changed."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._stalled = False
        self._refusing = False
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._thread.start()

    def stall(self) -> None:
        """A black hole: connections stay, and new ones are made, but nothing arrives any more."""
        self._stalled = True

    def refuse(self) -> None:
        """The server has gone: what is open is cut, what is new is cut at once."""
        self._refusing = True
        self.cut()

    def resume(self) -> None:
        self._stalled = self._refusing = False

    def cut(self) -> None:
        """Reset every connection that is open now."""
        with self._lock:
            for each in list(self._pairs):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._stop = True
        self._thread.join(10)
        self._listener.close()
        with self._lock:
            for each in self._pairs:
                each.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listener, selectors.EVENT_READ)
            while not self._stop:
                if self._stalled:
                    threading.Event().wait(0.01)
                    continue
                for key, _ in waiting.select(0.01):
                    if key.fileobj is self._listener:
                        self._accept(waiting)
                    else:
                        self._pass_on(waiting, key.fileobj)  # type: ignore[arg-type]

    def _accept(self, waiting: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        if self._refusing:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=2)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._pairs[client], self._pairs[server] = server, client
        for each in (client, server):
            waiting.register(each, selectors.EVENT_READ)

    def _pass_on(self, waiting: selectors.BaseSelector, source: socket.socket) -> None:
        target = self._pairs.get(source)
        if target is None:
            return
        try:
            data = source.recv(65_536)
            if data:
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            with self._lock:
                for each in (source, target):
                    self._pairs.pop(each, None)
                    waiting.unregister(each)
                    each.close()


@contextlib.contextmanager
def fault_proxy(target: int) -> Iterator[FaultProxy]:
    made = FaultProxy(target)
    try:
        yield made
    finally:
        made.close()
