"""`StrictProtocol`: the HTTP/1.1 protocol class that uvicorn runs for us (`http=` of `uvicorn.Config`).

Written anew rather than derived from uvicorn's httptools class: llhttp is lenient in places and keeps the raw
bytes to itself, so a strict reader in front of it would read everything twice, and two readers can disagree.
Here one reader (`head`, `body`) decides where a request begins and ends. Of uvicorn only the contract of a
protocol class is used: constructor, `ServerState`, `shutdown()`; tests/server/test_contract.py pins it.

Requests are answered strictly one after another: bytes of the next one wait, bounded, unread.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.protocols import Immediate
from gatekeeper.gate.server.body import Body, ChunkedBody, FixedBody
from gatekeeper.gate.server.config import OnRefusal, ServerLimits
from gatekeeper.gate.server.exchange import Exchange
from gatekeeper.gate.server.head import Head, HeadBuffer, parse_head
from gatekeeper.gate.server.pacing import Pacing, Phase
from gatekeeper.gate.server.registry import NEVER, Registry
from gatekeeper.gate.server.response import empty_answer, refusal
from gatekeeper.gate.server.scope import make_scope
from gatekeeper.gate.server.websocket import Handshake

LAST_CHANCE = 1.0
"""Seconds for which a kept connection may still send a request once the server stops."""
_READ_AHEAD = 65_536
_LIVES_ON = ((), (b"keep-alive",))
"""Connection options with which a connection is kept, and no field is only about it."""

logger = logging.getLogger("gatekeeper.server")


class StrictProtocol(Pacing, asyncio.Protocol):
    """One client connection. Use a class made by `make_protocol`: it carries limits and the registry."""

    limits: ClassVar[ServerLimits]
    registry: ClassVar[Registry]
    immediate: ClassVar[tuple[bytes, Immediate] | None]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        Pacing.__init__(self)
        self.config = config
        self.app = cast(Any, config.loaded_app)
        self.loop = _loop or asyncio.get_running_loop()
        self.server_state = server_state
        self.app_state = app_state
        self.root_path = config.root_path
        self.server: tuple[str, int | None] | None = None
        self.client: tuple[str, int] | None = None
        self.scheme = "http"
        self.address = ""
        self.exchange: Exchange | Handshake | None = None
        self._head = HeadBuffer()
        self._body: Body | None = None
        self._drained = 0
        self._skipped_line = False
        self._stopping = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server_state.connections.add(cast(Any, self))
        self.server = get_local_addr(self.transport)
        self.client = get_remote_addr(self.transport)
        self.scheme = "https" if is_ssl(self.transport) else "http"
        self.address = self.client[0] if self.client else ""
        self._stopping = self.registry.stopping
        excess = self.registry.enter(self, self.address, self.loop)
        self.set_phase(Phase.FRESH)
        if excess is None:
            return
        if excess.quiet:
            self.report(excess.reason, 0)
            self.abort()
        else:
            self.refuse(excess.status, excess.reason)

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        self.phase = Phase.CLOSED
        self.deadline = self.write_deadline = NEVER
        if self.exchange is not None and not self.exchange.complete:
            self.exchange.disconnect()
        self.unblock_writer()

    def forget(self) -> None:
        """Count this connection out."""
        self.server_state.connections.discard(cast(Any, self))
        self.registry.leave(self, self.address)

    def eof_received(self) -> None:
        """A client that has stopped sending is taken to have left."""
        if self.exchange is not None and not self.exchange.complete:
            self.exchange.disconnect()
        self.close()

    def data_received(self, data: bytes) -> None:
        phase = self.phase
        try:
            if phase <= Phase.HEAD:
                self._read_head(data)
            elif phase == Phase.BODY or phase == Phase.DRAIN:
                self._read_body(data)
            elif phase == Phase.BUSY:
                # The next request, early: it waits, and so does all that would follow it.
                self._head.data += data
                self.pause_reading()
            # else: lingering or closed, whatever comes is dropped
        except RequestRejected as error:
            self.refuse(error.status, error.reason)

    # Reading

    def _read_head(self, data: bytes) -> None:
        buffer = self._head
        if not buffer.data and not data.startswith(b"\r"):
            end = data.find(b"\r\n\r\n")
            if 0 <= end <= self.limits.head:
                return self._start_request(parse_head(data[:end], self.limits), data[end + 4 :])
        buffer.data += data
        if not self._skipped_line and buffer.data.startswith(b"\r\n"):
            # RFC 9112 section 2.2: one empty line before a request is ignored; some clients end a body so.
            self._skipped_line = True
            del buffer.data[:2]
        if buffer.data and (self._skipped_line or buffer.data != b"\r"):
            end = buffer.find_end(self.limits)
            if end >= 0:
                block, rest = bytes(buffer.data[:end]), bytes(buffer.data[end + 4 :])
                self._head = HeadBuffer()
                return self._start_request(parse_head(block, self.limits), rest)
        if self.phase != Phase.HEAD:
            self.set_phase(Phase.HEAD)
        return None

    def _start_request(self, head: Head, rest: bytes) -> None:
        self._skipped_line = False
        if head.upgrade is not None:
            return self._start_websocket(head, rest)
        self._body = None
        immediate = self.immediate
        if immediate is not None and head.raw_path.startswith(immediate[0]) and not rest:
            answer = self._ask_immediate(immediate[1], head)
            if answer is not None:
                self.write(answer)
                self.server_state.total_requests += 1
                self.phase = Phase.IDLE
                self.deadline = self.registry.now() + self.limits.idle_seconds
                return None
        if head.chunked:
            self._body = ChunkedBody(self.limits)
        elif head.length:
            if head.length > self.limits.body:
                raise RequestRejected(413, "body_too_large")
            self._body = FixedBody(head.length)
        exchange = Exchange(self, make_scope("http", head, self), head)
        self.exchange = exchange
        if self._stopping:
            exchange.keep_alive = False
        if self._body is None:
            self.phase = Phase.BUSY
            self.deadline = NEVER
            if rest:
                self._head.data += rest
                self.pause_reading()
        else:
            self.set_phase(Phase.BODY)
            if head.expect:
                self.deadline = NEVER
        self._run(exchange)
        if self._body is not None and rest:
            self._read_body(rest)
        return None

    def _ask_immediate(self, ask: Immediate, head: Head) -> bytes | None:
        """A whole answer without task and messages, where nothing about the request is extraordinary."""
        if head.has_body or not head.minor or head.connection not in _LIVES_ON:
            return None
        if self._stopping or self.write_paused or self._head.data:
            return None
        try:
            lines = ask(self.address, head.method, head.raw_path, head.query, head.headers)
            return None if lines is None else empty_answer(lines, self.server_state.default_headers)
        except Exception:
            return None  # asked again in the ordinary way, where errors are answered and reported

    def _start_websocket(self, head: Head, rest: bytes) -> None:
        scope = make_scope("websocket", head, self)
        del scope["method"]
        scope["scheme"] = "wss" if self.scheme == "https" else "ws"
        handshake = Handshake(self, scope, head)
        self.exchange = handshake
        self.phase = Phase.BUSY
        self.deadline = NEVER
        self._head.data += rest
        if rest:
            self.pause_reading()
        task = self.loop.create_task(handshake.run(self.app))
        tasks = self.server_state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _run(self, exchange: Exchange) -> None:
        exchange.task = task = self.loop.create_task(exchange.run(self.app))
        self.server_state.tasks.add(task)

    def _read_body(self, data: bytes) -> None:
        body, exchange = self._body, self.exchange
        assert body is not None and isinstance(exchange, Exchange)  # true in these phases
        self.progress += len(data)
        payload = body.feed(data)
        if body.done:
            self._body = None
            self._head.data += body.rest
        if self.phase == Phase.DRAIN:
            self._drained += len(data)
            if body.done:
                self._next_request()
            elif self._drained > self.limits.drain:
                self.linger()
            return
        if body.done:
            self.phase = Phase.BUSY
            self.deadline = NEVER
            if body.rest:
                self.pause_reading()
        if (payload or body.done) and exchange.body_arrived(payload, last=body.done) > _READ_AHEAD:
            self.pause_reading()

    def body_wanted(self) -> None:
        """The application asked for a body that the client held back: its time starts now."""
        if self.phase == Phase.BODY:
            self.set_phase(Phase.BODY)

    def take_buffered(self) -> bytes:
        """What the client sent after its hand-shake."""
        data = bytes(self._head.data)
        self._head = HeadBuffer()
        return data

    # Writing

    def response_complete(self, exchange: Exchange) -> None:
        """The answer is written: go on with the next request, or end the connection."""
        self.server_state.total_requests += 1
        if self.phase == Phase.BUSY and exchange.keep_alive:
            self._next_request()
        elif self.phase == Phase.BODY and exchange.keep_alive:
            # An early answer. A little unread body is taken and dropped, so that the connection can live on.
            self._drained = 0
            self.set_phase(Phase.DRAIN)
            self.resume_reading()
        elif self.phase == Phase.BODY or self.read_paused or self._head.data:
            self.linger()
        else:
            self.close()

    def _next_request(self) -> None:
        self.exchange = None
        self.phase = Phase.IDLE
        self.deadline = self.registry.now() + self.limits.idle_seconds
        if self._stopping:
            self._last_chance()
        data = self._head.data
        if self.read_paused:
            self.resume_reading()
        if data:
            self._head = HeadBuffer()
            self.data_received(bytes(data))
        return

    def refuse(self, status: int, reason: str, *, report: bool = True) -> None:
        """Answer with an error and end the connection; cut it off when the answer has begun already.

        A body that turns out broken after its request was answered gets no second answer.
        """
        if report:
            self.report(reason, status)
        exchange = self.exchange
        if exchange is not None:
            if exchange.complete:
                return self.linger()
            exchange.disconnect()
            if exchange.started:
                return self.abort()
        if not self.transport.is_closing():
            self.write(refusal(status, reason, self.server_state.default_headers))
            self.linger()
        return None

    def report(self, reason: str, status: int) -> None:
        self.registry.on_refusal(reason, status, self.address)

    # uvicorn

    def shutdown(self) -> None:
        """Graceful stop: what is under way is finished, and one more request answered if it comes at once."""
        self._stopping = True
        exchange = self.exchange
        if self.phase <= Phase.HEAD:
            self._last_chance()
        elif exchange is not None and not exchange.started:
            exchange.keep_alive = False

    def _last_chance(self) -> None:
        """The client may have sent its next request before it can know: closing now would lose that."""
        self.deadline = min(self.deadline, self.registry.now() + LAST_CHANCE)


def make_protocol(
    limits: ServerLimits | None = None,
    on_refusal: OnRefusal | None = None,
    *,
    registry: Registry | None = None,
    immediate: tuple[bytes, Immediate] | None = None,
) -> type[StrictProtocol]:
    """A protocol class for `uvicorn.Config(http=...)`, with its own registry of connections.

    A given `registry` brings its own limits and `on_refusal`. `immediate` is asked first about requests
    whose path begins with its bytes.
    Configure uvicorn with `server_header=False`, `proxy_headers=False`, `access_log=False`.
    """
    limits = limits or ServerLimits()
    registry = registry or Registry(limits or ServerLimits(), on_refusal or log_refusal)
    members = {"limits": registry.limits, "registry": registry, "immediate": immediate}
    return type("StrictProtocol", (StrictProtocol,), members)


def log_refusal(reason: str, status: int, client: str) -> None:
    """One line for each refusal."""
    logger.warning("request refused: %s (%d) from %s", reason, status, client or "unix socket")
