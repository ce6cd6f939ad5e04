"""Running one check, and servers for checks to ask."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from email.utils import formatdate

from gatekeeper.doctor.protocol import Check, Finding, Level

NOW = 1_800_000_000.0


def run(check: Check) -> list[Finding]:
    return list(asyncio.run(check.run()))


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def texts(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.level}: {finding.text} → {finding.advice}" for finding in findings)


@contextlib.contextmanager
def answering(
    raw: bytes | None = None,
    *,
    status: int = 200,
    date: float | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """A server on a free port of 127.0.0.1 that gives every connection the same answer; its port.

    `raw` is sent as it is; empty: nothing is ever said.
    """
    if raw is None:
        when = f"Date: {formatdate(date, usegmt=True)}\r\n" if date is not None else ""
        raw = f"HTTP/1.1 {status} X\r\n{when}Content-Length: 2\r\n\r\nok".encode()
    said = raw

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(65_536)
            if not said:
                await reader.read()
            writer.write(said)
            await writer.drain()
        writer.close()

    with listening(answer, tls) as port:
        yield port


Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.contextmanager
def listening(connection: Connection, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server in a thread of its own, on a free port of 127.0.0.1; its port."""
    started: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
        stop = asyncio.Event()
        started.put((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, loop, stop = started.get(timeout=10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
