"""Listening sockets. The supervisor holds them, so that replacing a worker loses no connection that waits.

Every worker has sockets of its own to the same address (SO_REUSEPORT: the kernel spreads connections over
them evenly); a unix socket is shared by all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path


class CannotListen(Exception):
    """An address cannot be bound; the text names it and why."""


class Listeners:
    """The sockets of every address, so many for each as there are workers."""

    def __init__(self) -> None:
        self._by_address: dict[str, list[socket.socket]] = {}

    def open(self, addresses: Iterable[str], workers: int) -> list[tuple[str, socket.socket]]:
        """Bind what is not bound yet, all or nothing; what was made. Raises CannotListen.

        Nothing arrives before a worker listens. Sockets that are there already stay, also those of workers
        that a smaller number leaves without one: what waits in them must be answered.
        """
        made: list[tuple[str, socket.socket]] = []
        try:
            for address in addresses:
                sockets = self._by_address.setdefault(address, [])
                while len(sockets) < (1 if address.startswith("unix:") else workers):
                    sockets.append(listen_on(address, beside=sockets[0] if sockets else None))
                    made.append((address, sockets[-1]))
        except CannotListen:
            self.forget(made)
            raise
        return made

    def forget(self, made: Iterable[tuple[str, socket.socket]]) -> None:
        """Close what `open` made."""
        for address, sock in made:
            sockets = self._by_address[address]
            sockets.remove(sock)
            close_all(address, [sock], unlink=not sockets)
        self._by_address = {address: sockets for address, sockets in self._by_address.items() if sockets}

    def keep_only(self, addresses: Iterable[str]) -> None:
        """Close the sockets of all other addresses: nobody listens there any more."""
        wanted = set(addresses)
        for address in [address for address in self._by_address if address not in wanted]:
            close_all(address, self._by_address.pop(address), unlink=True)

    def of_worker(self, slot: int, workers: int, addresses: Iterable[str]) -> list[socket.socket]:
        """The sockets on which worker number `slot` of `workers` accepts."""
        found = []
        for address in addresses:
            sockets = self._by_address[address]
            shared = address.startswith("unix:")
            found += sockets if shared else [s for index, s in enumerate(sockets) if index % workers == slot]
        return found

    def close(self) -> None:
        self.keep_only(())


def close_all(address: str, sockets: Iterable[socket.socket], *, unlink: bool) -> None:
    for sock in sockets:
        sock.close()
    if unlink and address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def listen_on(address: str, *, beside: socket.socket | None = None) -> socket.socket:
    """A bound socket for `host:port`, `[v6]:port` or `unix:/path`. Raises CannotListen.

    `beside` is one of ours that is bound there already. Otherwise an address that anybody uses is refused,
    SO_REUSEPORT or not: two installations on one address would share its visitors unnoticed.
    """
    try:
        if address.startswith("unix:"):
            return _listen_unix(Path(address.removeprefix("unix:")))
        host, _, port = address.rpartition(":")
        place = (host.strip("[]"), int(port))
        if beside is not None:
            place = beside.getsockname()[:2]
        else:
            _bind(place, reuse_port=False).close()
        return _bind(place, reuse_port=True)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error


def _bind(place: tuple[str, int], *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(place)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            _remove_if_dead(path)
        sock.bind(str(path))
        path.chmod(0o660)  # the proxy in front shares our group
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_if_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
