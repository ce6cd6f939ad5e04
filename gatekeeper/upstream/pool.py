"""Connections to one application, lent out one exchange at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.connection import UpstreamConnection
from gatekeeper.upstream.limits import UpstreamLimits


class _Waiter(NamedTuple):
    future: asyncio.Future[UpstreamConnection | None]
    client: str


Connect = Callable[[], Coroutine[Any, Any, UpstreamConnection]]


class ConnectionPool:
    """Last in, first out; a limit; whoever waits is served in the order of arrival.

    A slot belongs to a connection from before it is opened until it is closed; a waiter is handed either a
    connection or a slot, so that nobody can overtake it. One client gets at most three quarters (all of fewer
    than four): who reads large answers slowly, a hundred at a time, leaves some to the others.
    """

    def __init__(self, connect: Connect, limits: UpstreamLimits, now: Callable[[], float]) -> None:
        self._connect = connect
        self._limits = limits
        self._now = now
        self._idle: deque[UpstreamConnection] = deque()
        self._all: set[UpstreamConnection] = set()
        self._slots = 0
        self._waiters: deque[_Waiter] = deque()
        self._share = limits.max_connections - limits.max_connections // 4
        self._lent: dict[str, int] = {}
        """Connections and slots that each client has now."""
        self._closed = False

    @property
    def open(self) -> int:
        """Connections open or being opened."""
        return self._slots

    @property
    def idle(self) -> int:
        """Connections that nobody uses."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiters)

    @property
    def scarce(self) -> bool:
        """Whether at least half of the connections are lent out: from here on nobody gets one to wait on."""
        return (self._slots - len(self._idle)) * 2 >= self._limits.max_connections

    def take(self, client: str, *, repeatable: bool) -> UpstreamConnection | None:
        """An idle connection, the one used last, without waiting; None: ask `acquire`.

        A request that is not `repeatable` gets only one that was in use a moment ago.
        """
        idle = self._idle
        while idle and self._may_have_more(client):
            connection = idle[-1]
            if not repeatable and self._now() - connection.idle_since > self._limits.quiet:
                return None
            idle.pop()
            if connection.usable():
                return self._lend(connection, client)
            connection.close()
        return None

    async def acquire(self, client: str, *, fresh: bool = False) -> UpstreamConnection:
        """A connection, new if need be (`fresh`: always new), in the order of asking.

        Raises `UpstreamFailure`: 503 `upstream_busy` after `queue_timeout`, 502 or 504 from connecting.
        """
        full = self._slots >= self._limits.max_connections
        if full and self._idle and self._may_have_more(client):
            self._idle.popleft().close()
            full = False
        if full or not self._may_have_more(client):
            connection = await self._queue(client)
            if connection is not None and not fresh and connection.usable():
                return connection
            if connection is not None:
                self._slots += 1  # kept over the closing, so that the slot stays ours
                self._count(client, 1)
                connection.close()
        else:
            self._slots += 1
            self._count(client, 1)
        try:
            connection = await self._connect()
        except BaseException:
            self._count(client, -1)
            self._free_slot()
            raise
        if connection.retired:
            self._count(client, -1)
            self._free_slot()
            raise UpstreamFailure(502, "upstream_closed", "the application closed a new connection")
        self._all.add(connection)
        connection.client = client
        return connection

    def sweep(self, now: float) -> None:
        """Close connections unused for too long; fail exchanges whose time is over."""
        for connection in [connection for connection in self._idle if now >= connection.expires_at]:
            self._idle.remove(connection)
            connection.close()
        for connection in list(self._all):
            connection.check_deadline(now)

    async def aclose(self) -> None:
        """Close idle connections now, the others when they come back. Lends nothing any more."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        # One turn of the loop: transports tell their protocols that they are closed.
        await asyncio.sleep(0)

    # ConnectionOwner

    def released(self, connection: UpstreamConnection) -> None:
        self._take_back(connection)
        if self._closed:
            connection.close()
        elif (waiter := self._next_waiter()) is not None:
            waiter.future.set_result(self._lend(connection, waiter.client))
        else:
            self._idle.append(connection)

    def retired(self, connection: UpstreamConnection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._take_back(connection)
            self._free_slot()

    # Inside

    def _may_have_more(self, client: str) -> bool:
        return self._lent.get(client, 0) < self._share

    def _count(self, client: str, step: int) -> None:
        count = self._lent.get(client, 0) + step
        if count:
            self._lent[client] = count
        else:
            del self._lent[client]

    def _lend(self, connection: UpstreamConnection, client: str) -> UpstreamConnection:
        self._lent[client] = self._lent.get(client, 0) + 1
        connection.client = client
        return connection

    def _take_back(self, connection: UpstreamConnection) -> None:
        client = connection.client
        if client is not None:
            connection.client = None
            self._count(client, -1)

    def _free_slot(self) -> None:
        waiter = self._next_waiter() if self._slots <= self._limits.max_connections else None
        if waiter is None:
            self._slots -= 1
        else:
            self._count(waiter.client, 1)
            waiter.future.set_result(None)

    def _next_waiter(self) -> _Waiter | None:
        """The first that may have more: nobody waits while there is a place for him.

        One that was cancelled in this very turn of the loop still stands in line, and takes nothing any more.
        """
        for waiter in self._waiters:
            if not waiter.future.done() and self._may_have_more(waiter.client):
                self._waiters.remove(waiter)
                return waiter
        return None

    async def _queue(self, client: str) -> UpstreamConnection | None:
        """A connection, or a slot; counted for `client` either way."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), client)
        self._waiters.append(waiter)
        timer = loop.call_later(self._limits.queue_timeout, self._give_up, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if future.done() and not future.cancelled() and future.exception() is None:
                # Handed over in the same turn in which we were cancelled: pass it on.
                connection = future.result()
                if connection is None:
                    self._count(client, -1)
                    self._free_slot()
                else:
                    self.released(connection)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        finally:
            timer.cancel()

    def _give_up(self, waiter: _Waiter) -> None:
        if not waiter.future.done():
            self._waiters.remove(waiter)
            detail = f"no connection free in {self._limits.queue_timeout:g} s"
            waiter.future.set_exception(UpstreamFailure(503, "upstream_busy", detail))
