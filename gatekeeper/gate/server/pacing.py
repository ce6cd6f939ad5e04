"""A connection's pace: phases and their deadlines, back-pressure both ways, and its three kinds of end."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.registry import NEVER, Registry

_COPIED = 16_384
"""A body up to this many bytes is copied behind its head; a longer one is handed over beside it."""


class Phase:
    """Where a connection is. Up to HEAD no request is under way.

    Plain numbers: looking up an enum's member costs several times as much, a few times a request.
    """

    FRESH = 0
    """Connected, no byte yet."""
    IDLE = 1
    """Between two requests."""
    HEAD = 2
    """Part of a head has come."""
    BODY = 3
    """A request runs, its body is still coming."""
    BUSY = 4
    """A request runs, all of it has come."""
    DRAIN = 5
    """Answered; the unread rest of the body is being dropped."""
    LINGER = 6
    """Answered for the last time; what comes is dropped until the client has read the answer."""
    CLOSED = 7


class Pacing:
    """What `StrictProtocol` does about time and back-pressure."""

    limits: ClassVar[ServerLimits]
    registry: ClassVar[Registry]
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.phase: int = Phase.FRESH
        self.deadline = NEVER
        self.write_deadline = NEVER
        self.progress = 0
        """Body bytes since the window began."""
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None
        self._unsent = 0
        self._held = b""
        """A response's head that waits for its body, so that both leave in one write."""

    def refuse(self, status: int, reason: str, *, report: bool = True) -> None:
        raise NotImplementedError

    def set_phase(self, phase: int) -> None:
        """Enter a phase and start its time limit."""
        limits = self.limits
        self.phase = phase
        self.progress = 0
        if phase == Phase.IDLE:
            seconds = limits.idle_seconds
        elif phase <= Phase.HEAD:
            seconds = limits.head_seconds
        elif phase == Phase.BODY:
            seconds = limits.body_seconds
        else:
            seconds = limits.linger_seconds
        self.deadline = self.registry.now() + seconds

    def expire(self, now: float) -> None:
        """The sweep found a deadline passed."""
        if self.write_deadline <= now:
            self._check_writing(now)
        if self.deadline > now:
            return
        phase = self.phase
        if phase == Phase.IDLE or phase == Phase.FRESH:
            if self.transport.get_write_buffer_size():
                self.abort()
            else:
                self.close()
        elif phase == Phase.HEAD:
            self.refuse(408, "head_timeout")
        elif phase == Phase.BODY:
            if self.read_paused or self.progress >= self.limits.body_rate * self.limits.body_seconds:
                self.set_phase(Phase.BODY)
            else:
                self.refuse(408, "body_timeout")
        else:
            self.abort()

    def _check_writing(self, now: float) -> None:
        """A client that is behind must take its answer at a minimum rate, or be cut off."""
        unsent = self.transport.get_write_buffer_size()
        if self._unsent - unsent >= self.limits.write_rate * self.limits.write_seconds:
            self._unsent = unsent
            self.write_deadline = now + self.limits.write_seconds
        else:
            self.report("response_not_taken", 0)
            self.abort()

    def report(self, reason: str, status: int) -> None:
        raise NotImplementedError

    # Writing

    def write(self, data: bytes) -> None:
        held = self._held
        if held:
            self._held = b""
            if len(data) > _COPIED:
                self.transport.writelines((held, data))
                return
            data = held + data
        self.transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Write with what comes next, or when the event loop turns: nobody is kept waiting for a head.

        The transport would make a system call, and a packet, of each of them.
        """
        self._held = data
        self.loop.call_soon(self._write_held)

    def _write_held(self) -> None:
        held = self._held
        if held and not self.transport.is_closing():
            self._held = b""
            self.transport.write(held)

    # Back-pressure

    def pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """asyncio: the write buffer is over its high-water mark."""
        self.write_paused = True
        self._unsent = self.transport.get_write_buffer_size()
        self.write_deadline = self.registry.now() + self.limits.write_seconds

    def resume_writing(self) -> None:
        """asyncio: the write buffer is low again."""
        if self.phase != Phase.CLOSED:
            self.write_deadline = NEVER
        self.unblock_writer()

    def unblock_writer(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        while self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            await self._writable.wait()

    # Ends

    def close(self) -> None:
        """Flush and close. Only when nothing of the client's is unread: else it might lose the answer."""
        self.phase = Phase.CLOSED
        self.deadline = NEVER
        if not self.transport.is_closing():
            self._unsent = self.transport.get_write_buffer_size()
            self.write_deadline = self.registry.now() + self.limits.write_seconds
            self.transport.close()

    def linger(self) -> None:
        """Say that we are done, and take what still comes for a moment (RFC 9112 section 9.6).

        Closing with unread bytes would reset the connection, and the client might never see its answer.
        """
        if self.transport.is_closing():
            return
        self.set_phase(Phase.LINGER)
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def abort(self) -> None:
        """Cut off: what is unsent is lost, so that half an answer cannot be taken for a whole one."""
        self.phase = Phase.CLOSED
        self.deadline = self.write_deadline = NEVER
        self.transport.abort()
