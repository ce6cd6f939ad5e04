"""The parent of all workers: holds the sockets, restarts what dies, replaces all at a reload.

It serves nothing itself, has no event loop and no thread, so that fork(2) is safe and what was imported is
shared memory. A reload forks workers with the new settings beside the old ones, on the same sockets; the old
ones stop accepting once all new ones serve, so there is no moment in which nobody accepts.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator

import structlog

from gatekeeper.core.clock import Clock
from gatekeeper.serving.generation import Generation, Worker, make_generation
from gatekeeper.serving.notify import READY, RELOADING, STOPPING, notify
from gatekeeper.serving.pidfile import PidFile
from gatekeeper.serving.running import forget_running, keep_running
from gatekeeper.serving.sockets import CannotListen, Listeners
from gatekeeper.serving.worker import CANNOT_START, Counting, run_worker
from gatekeeper.settings import Settings, SettingsError
from gatekeeper.telemetry import layout as at
from gatekeeper.telemetry import logs
from gatekeeper.telemetry.board import Boards

START_SECONDS = 120.0
"""A worker that does not serve by then (a migration may take a while) counts as failed."""
KILL_AFTER = 10.0
"""Seconds beyond drain_timeout after which a worker is killed."""
LONGEST_PAUSE = 30.0
BOARDS = 512
"""Workers at most, old ones that still drain included."""
LONG_LIFE = 60.0
"""Seconds a worker must have lived for its death to count as the first."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

log = structlog.get_logger("gatekeeper")


class Supervisor:
    """Runs until SIGTERM or SIGINT. `load` reads the settings anew and raises SettingsError. `describe`
    gives what is kept of the settings in force (`serving.running`)."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        *,
        describe: Callable[[Settings], str] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._load = load
        self._describe = describe
        self._clock = clock
        self._current = make_generation(1, settings)
        self._next: Generation | None = None
        self._workers: dict[int, Worker] = {}
        self._listeners = Listeners()
        self._boards = Boards(BOARDS, at.CELLS)
        self._selector = selectors.DefaultSelector()
        self._data_dir = settings.data_dir
        self._pid_file = PidFile(self._data_dir)
        self._reloads = 0
        self._reload_wanted = self._stopping = self._announced = False
        self._code = 0
        self._made: list[tuple[str, socket.socket]] = []
        """The sockets of a reload under way."""

    def run(self) -> int:
        """The exit code. Raises CannotListen."""
        self._open(self._current)
        try:
            self._take_pid_file()
            with self._signals():
                gc.collect()
                gc.freeze()  # else a collection in any child copies all that is shared
                self._fill(self._current)
                while self._workers or not self._stopping:
                    self._turn()
            return self._code
        finally:
            self._listeners.close()
            if self._pid_file.held:
                forget_running(self._data_dir)
            self._pid_file.release()
            self._selector.close()

    # One turn

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, Worker):
                self._heard(key.data)
            else:
                self._signalled(key.fileobj)  # type: ignore[arg-type]
        self._reap()
        now = self._clock()
        for worker in self._workers.values():
            if now >= worker.deadline:
                log.error("worker killed", pid=worker.pid, state=worker.state)
                worker.deadline = now + KILL_AFTER
                _send(worker, signal.SIGKILL)
        if self._stopping:
            return
        for slot_number, slot in enumerate(self._current.slots):
            if slot.due is not None and now >= slot.due:
                slot.due = None
                self._fork(self._current, slot_number)
        if self._reload_wanted and self._next is None and self._announced:
            self._reload_wanted = False
            self._reload()

    def _patience(self) -> float:
        times = [worker.deadline for worker in self._workers.values()]
        times += [slot.due for slot in self._current.slots if slot.due is not None]
        return max(0.0, min(min(times, default=0.0) - self._clock(), 3600.0)) if times else 3600.0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        theirs.setblocking(False)
        self._wakeup = (mine, theirs)
        self._selector.register(mine, selectors.EVENT_READ)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.unregister(mine)
            mine.close()
            theirs.close()

    def _signalled(self, source: socket.socket) -> None:
        for number in source.recv(4096):
            if number == signal.SIGHUP:
                self._reload_wanted = True
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._stop(again=self._stopping)

    # Workers

    def _open(self, generation: Generation) -> list[tuple[str, socket.socket]]:
        """Bind what these settings listen on; what was made. Raises CannotListen."""
        made = self._listeners.open(generation.settings.listen, len(generation.slots))
        if (metrics := generation.settings.metrics) is not None:
            try:
                made += self._listeners.open([metrics.listen], 1)
            except CannotListen:
                self._listeners.forget(made)
                raise
        return made

    def _counting(self, generation: Generation, slot: int) -> Counting:
        metrics = generation.settings.metrics
        shows = slot == 0 and metrics is not None
        return Counting(
            self._boards,
            self._boards.take(),
            self._listeners.of_worker(0, 1, [metrics.listen]) if shows and metrics is not None else (),
            len(generation.slots),
        )

    def _fill(self, generation: Generation) -> None:
        for number in range(len(generation.slots)):
            self._fork(generation, number)

    def _fork(self, generation: Generation, slot: int) -> None:
        settings = generation.settings
        sockets = self._listeners.of_worker(slot, len(generation.slots), settings.listen)
        counting = self._counting(generation, slot)
        mine, theirs = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        # A signal between fork and the child's own handlers would be lost on it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(mine)
            self._selector.close()
            for end in self._wakeup:
                end.close()
            run_worker(settings, sockets, counting, parent, blocked, lambda: _say_ready(theirs))
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(theirs)
        now = self._clock()
        worker = Worker(pid, slot, generation.number, mine, counting.board, now, now + START_SECONDS)
        self._workers[pid] = worker
        self._selector.register(mine, selectors.EVENT_READ, worker)

    def _heard(self, worker: Worker) -> None:
        if not os.read(worker.pipe, 16):
            self._forget_pipe(worker)  # it is dying: its status comes with SIGCHLD
            return
        if worker.state == "starting":
            worker.state, worker.deadline = "serving", float("inf")
        if worker.generation == self._current.number and not self._announced:
            if self._all_serve(self._current):
                self._announced = True
                settings = self._current.settings
                notify(READY)
                log.info(
                    "serving",
                    public_url=settings.public_url,
                    listen=list(settings.listen),
                    processes=len(self._current.slots),
                )
        elif self._next is not None and self._all_serve(self._next):
            self._switch(self._next)

    def _all_serve(self, generation: Generation) -> bool:
        mine = [worker for worker in self._workers.values() if worker.generation == generation.number]
        return len([worker for worker in mine if worker.state == "serving"]) == len(generation.slots)

    def _reap(self) -> None:
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                self._forget_pipe(worker)
                self._boards.retire(worker.board, at.COUNTERS)
                self._died(worker, os.waitstatus_to_exitcode(status))

    def _died(self, worker: Worker, code: int) -> None:
        if worker.state == "leaving":
            if code not in (0, -signal.SIGTERM):  # before it served, it had nothing to finish
                log.error("worker ended badly", pid=worker.pid, code=code)
            return
        log.error("worker died", pid=worker.pid, code=code)
        self._boards.board(0)[at.WORKERS_DIED] += 1
        if self._next is not None and worker.generation == self._next.number:
            self._give_up_reload("a process with the new settings did not start: see the log")
        elif not self._announced:
            self._code = code if code > 0 else CANNOT_START
            self._stop()
        elif not self._stopping:
            slot = self._current.slots[worker.slot]
            long = self._clock() - worker.born >= LONG_LIFE
            slot.deaths = 1 if long else slot.deaths + 1
            slot.due = self._clock() + (
                0.0 if slot.deaths == 1 else min(0.5 * 2.0 ** min(slot.deaths - 2, 10), LONGEST_PAUSE)
            )

    def _forget_pipe(self, worker: Worker) -> None:
        if worker.pipe >= 0:
            self._selector.unregister(worker.pipe)
            os.close(worker.pipe)
            worker.pipe = -1

    def _leave(self, worker: Worker, number: signal.Signals, drain: float) -> None:
        worker.state = "leaving"
        worker.deadline = self._clock() + drain + KILL_AFTER
        _send(worker, number)

    def _stop(self, *, again: bool = False) -> None:
        if not self._stopping:
            notify(STOPPING)
            log.info("stopping")
        self._stopping, self._next = True, None
        for worker in self._workers.values():
            if again:
                _send(worker, signal.SIGKILL)
            else:
                self._leave(worker, signal.SIGTERM, self._current.settings.drain_timeout)

    # Reload

    def _reload(self) -> None:
        notify(f"{RELOADING}\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
            if settings.data_dir != self._data_dir:
                raise CannotListen("data_dir cannot be changed while serving: restart for that")
            generation = make_generation(self._reloads + 2, settings)
            self._made = self._open(generation)
        except SettingsError as error:
            self._refuse_reload("\n".join(str(problem) for problem in error.problems))
        except CannotListen as error:
            self._refuse_reload(str(error))
        else:
            self._next = generation
            self._fill(generation)

    def _switch(self, generation: Generation) -> None:
        old, self._current, self._next = self._current, generation, None
        for worker in self._workers.values():
            if worker.generation != generation.number and worker.state != "leaving":
                self._leave(worker, signal.SIGUSR1, old.settings.drain_timeout)
        self._listeners.keep_only(generation.addresses)
        self._reloads += 1
        self._boards.board(0)[at.RELOADS] += 1
        self._keep_running()  # before the pid file says that the reload is done
        self._pid_file.write(self._reloads, "")
        logs.configure(generation.settings.log.level, generation.settings.log.format)
        notify(READY)
        log.info("reloaded", processes=len(generation.slots))

    def _give_up_reload(self, why: str) -> None:
        generation, self._next = self._next, None
        for worker in self._workers.values():
            if generation is not None and worker.generation == generation.number:
                self._leave(worker, signal.SIGTERM, 0.0)
        self._listeners.forget(self._made)
        self._refuse_reload(why)

    def _refuse_reload(self, why: str) -> None:
        self._reloads += 1
        self._boards.board(0)[at.RELOADS_FAILED] += 1
        self._pid_file.write(self._reloads, why)
        notify(READY)
        for line in why.splitlines():
            log.error("reload refused, the old settings stay", error=line)

    def _take_pid_file(self) -> None:
        try:
            taken = self._pid_file.take()
        except OSError as error:
            log.warning("no pid file: `gatekeeper reload` will not find us", error=error.strerror)
            return
        if not taken:
            log.warning("another `gatekeeper serve` uses this data_dir: `gatekeeper reload` finds that one")
        self._keep_running()

    def _keep_running(self) -> None:
        if self._describe is not None and self._pid_file.held:
            keep_running(self._data_dir, self._describe(self._current.settings))


def _send(worker: Worker, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, number)


def _say_ready(pipe: int) -> None:
    os.write(pipe, b"r")
