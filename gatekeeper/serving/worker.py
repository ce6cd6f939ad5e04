"""One worker: a process forked from the supervisor, which serves until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

import structlog
import uvloop

from gatekeeper import __version__
from gatekeeper.build import create_app
from gatekeeper.gate.server.descriptors import raise_descriptor_limit
from gatekeeper.gate.server.protocol import log_refusal
from gatekeeper.serving.server import GateServer, make_server, make_server_limits
from gatekeeper.settings import Settings
from gatekeeper.telemetry import logs
from gatekeeper.telemetry.board import Boards
from gatekeeper.telemetry.exposition import Exposition
from gatekeeper.telemetry.listener import MetricsListener
from gatekeeper.telemetry.metrics import Metrics

CANNOT_START = 3
"""Exit code of a worker that never served: its log says why."""

_PR_SET_PDEATHSIG = 1

log = structlog.get_logger("gatekeeper")


class Counting(NamedTuple):
    """Where this worker counts, and the sockets on which it shows what all of them counted."""

    boards: Boards
    board: int
    sockets: Sequence[socket.socket]
    processes: int


def run_worker(
    settings: Settings,
    sockets: Sequence[socket.socket],
    counting: Counting,
    parent: int,
    signal_mask: set[int],
    on_ready: Callable[[], None],
) -> NoReturn:
    """Serve on `sockets`, then leave the process; for use right after fork(2).

    `signal_mask` is put in force once signals find our own handlers.
    Ends when the supervisor `parent` dies, whatever it died of: nobody would restart or reload us.
    """
    code = CANNOT_START
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
        logs.configure(settings.log.level, settings.log.format)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:  # else it died before we asked to be told
            code = _serve(settings, sockets, counting, on_ready)
    except BaseException as error:
        log.error("worker failed", error=str(error), exc_info=not isinstance(error, SystemExit))
    finally:
        # The supervisor's own exit handlers and buffers are not ours to run.
        os._exit(code)


def _serve(
    settings: Settings, sockets: Sequence[socket.socket], counting: Counting, on_ready: Callable[[], None]
) -> int:
    metrics = Metrics(counting.boards.board(counting.board)) if settings.metrics is not None else None
    app = create_app(settings, metrics=metrics)
    limits = make_server_limits(settings, raise_descriptor_limit())
    server = make_server(
        app,
        limits,
        on_started=on_ready,
        on_refusal=log_refusal if metrics is None else partial(_count_refusal, metrics),
        supervised=True,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(server, list(sockets), counting))
    return 0 if server.started else CANNOT_START


async def _run(server: GateServer, sockets: list[socket.socket], counting: Counting) -> None:
    exposition = Exposition(counting.boards, __version__, processes=counting.processes)
    async with MetricsListener(exposition, time.monotonic).running(list(counting.sockets)):
        await server.serve(sockets=sockets)


def _count_refusal(metrics: Metrics, reason: str, status: int, client: str) -> None:
    metrics.refused(reason)
    log_refusal(reason, status, client)
