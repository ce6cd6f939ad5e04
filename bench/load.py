"""Load from the other core: wrk for requests, a small client of our own for WebSockets and big bodies."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping

from bench.processes import cores

CONNECTIONS = 32
_ATTEMPTS = 5
"""A busy machine may leave a short run without a single answer."""
FRAME = bytes([0x81, 0x80 | 100]) + bytes(4) + b"e" * 100
"""A masked text frame of 100 characters (the mask is zero), as a browser would send it."""
ECHO = bytes([0x81, 100]) + b"e" * 100


def requests(
    port: int, path: str, seconds: float, cookie: str = "", headers: Mapping[str, str] | None = None
) -> int:
    """How many requests wrk got answered with 200 in `seconds`. Raises RuntimeError when any was not."""
    longest = math.ceil(seconds)
    command = ["taskset", "-c", str(cores()[1]), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{longest}s"]
    if cookie:
        command += ["-H", f"Cookie: {cookie}"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    command.append(f"http://127.0.0.1:{port}{path}")
    for _ in range(_ATTEMPTS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
            if seconds < longest:  # it counts whole seconds, but reports when interrupted too
                time.sleep(seconds)
                wrk.send_signal(signal.SIGINT)
            output, _ = wrk.communicate()
        if "Non-2xx" in output or "Socket errors" in output:
            break
        found = re.search(r"(\d+) requests in", output)
        if found is not None and int(found.group(1)):
            return int(found.group(1))
    raise RuntimeError(f"{path}: {output}")


def download(port: int, path: str, times: int, cookie: str = "") -> int:
    """Fetch a big file again and again on one connection; the number of bytes. Raises RuntimeError."""
    total, buffer = 0, bytearray(1 << 18)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    request = (head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode()
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        for _ in range(times):
            client.sendall(request)
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(4096)
            answer, _, early = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", answer)
            if length is None or b" 200 " not in answer:
                raise RuntimeError(answer.decode("latin-1"))
            left = int(length.group(1)) - len(early)
            total += int(length.group(1))
            while left > 0:
                read = client.recv_into(buffer)
                if read == 0:
                    raise RuntimeError("broken off")
                left -= read
    return total


def echoes(port: int, seconds: float, cookie: str = "") -> int:
    """WebSocket messages sent and got back on 16 connections in `seconds`."""
    os.sched_setaffinity(0, {cores()[1]})
    return asyncio.run(_echoes(port, seconds, cookie))


async def _echoes(port: int, seconds: float, cookie: str) -> int:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
        writer.write((head + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n").encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer:
            raise RuntimeError(answer.decode("latin-1"))
        done = 0
        while loop.time() < until or not done:
            writer.write(FRAME)
            if await reader.readexactly(len(ECHO)) != ECHO:
                raise RuntimeError("not an echo")
            done += 1
        writer.close()
        return done

    return sum(await asyncio.gather(*(one() for _ in range(16))))
