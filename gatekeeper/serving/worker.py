"""One worker: a process forked from the supervisor, which serves until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog
import uvloop

from gatekeeper.build import create_app
from gatekeeper.gate.server.descriptors import raise_descriptor_limit
from gatekeeper.serving.server import make_server, make_server_limits
from gatekeeper.settings import Settings
from gatekeeper.telemetry import logs

CANNOT_START = 3
"""Exit code of a worker that never served: its log says why."""

_PR_SET_PDEATHSIG = 1

log = structlog.get_logger("gatekeeper")


def run_worker(
    settings: Settings,
    sockets: Sequence[socket.socket],
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
            code = _serve(settings, sockets, on_ready)
    except BaseException as error:
        log.error("worker failed", error=str(error), exc_info=not isinstance(error, SystemExit))
    finally:
        # The supervisor's own exit handlers and buffers are not ours to run.
        os._exit(code)


def _serve(settings: Settings, sockets: Sequence[socket.socket], on_ready: Callable[[], None]) -> int:
    app = create_app(settings)
    limits = make_server_limits(settings, raise_descriptor_limit())
    server = make_server(app, limits, on_started=on_ready, supervised=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=list(sockets)))
    return 0 if server.started else CANNOT_START
