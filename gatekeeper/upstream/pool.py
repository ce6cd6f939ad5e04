"""Connections to one application, lent out one exchange at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.connection import UpstreamConnection
from gatekeeper.upstream.limits import UpstreamLimits

Connect = Callable[[], Coroutine[Any, Any, UpstreamConnection]]


class ConnectionPool:
    """Last in, first out; a limit; whoever waits is served in the order of arrival.

    A slot belongs to a connection from before it is opened until it is closed; a waiter is handed either a
    connection or a slot, so that nobody can overtake it.
    """

    def __init__(self, connect: Connect, limits: UpstreamLimits, now: Callable[[], float]) -> None:
        self._connect = connect
        self._limits = limits
        self._now = now
        self._idle: deque[UpstreamConnection] = deque()
        self._all: set[UpstreamConnection] = set()
        self._slots = 0
        self._waiters: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self._closed = False

    @property
    def open(self) -> int:
        """Connections open or being opened."""
        return self._slots

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiters)

    @property
    def scarce(self) -> bool:
        """Whether at least half of the connections are lent out: from here on nobody gets one to wait on."""
        return (self._slots - len(self._idle)) * 2 >= self._limits.max_connections

    def take(self, *, repeatable: bool) -> UpstreamConnection | None:
        """An idle connection, the one used last, without waiting; None: ask `acquire`.

        A request that is not `repeatable` gets only one that was in use a moment ago.
        """
        idle = self._idle
        while idle:
            connection = idle[-1]
            if not repeatable and self._now() - connection.idle_since > self._limits.quiet:
                return None
            idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """A connection, new if need be (`fresh`: always new), in the order of asking.

        Raises `UpstreamFailure`: 503 `upstream_busy` after `queue_timeout`, 502 or 504 from connecting.
        """
        if self._slots >= self._limits.max_connections and self._idle and not self._waiters:
            self._idle.popleft().close()
        if self._slots >= self._limits.max_connections or self._waiters:
            connection = await self._queue()
            if connection is not None and not fresh and connection.usable():
                return connection
            if connection is not None:
                self._slots += 1  # kept over the closing, so that the slot stays ours
                connection.close()
        else:
            self._slots += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._free_slot()
            raise
        if connection.retired:
            self._free_slot()
            raise UpstreamFailure(502, "upstream_closed", "the application closed a new connection")
        self._all.add(connection)
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
        if self._closed:
            connection.close()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def retired(self, connection: UpstreamConnection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_slot()

    # Inside

    def _free_slot(self) -> None:
        waiter = self._next_waiter() if self._slots <= self._limits.max_connections else None
        if waiter is None:
            self._slots -= 1
        else:
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[UpstreamConnection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _queue(self) -> UpstreamConnection | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[UpstreamConnection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(self._limits.queue_timeout, self._give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # Handed over in the same turn in which we were cancelled: pass it on.
                connection = waiter.result()
                if connection is None:
                    self._free_slot()
                else:
                    self.released(connection)
            raise
        finally:
            timer.cancel()

    def _give_up(self, waiter: asyncio.Future[UpstreamConnection | None]) -> None:
        if not waiter.done():
            self._waiters.remove(waiter)
            detail = f"no connection free in {self._limits.queue_timeout:g} s"
            waiter.set_exception(UpstreamFailure(503, "upstream_busy", detail))
