"""Several processes as one server: forked before any thread or connection exists, restarted when one dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

import structlog

from mintmark.protocol.errors import MintmarkError

IS_DETACHED: Final = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""Started by `nohup`, which asks for the end of the terminal to end nothing."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, *(() if IS_DETACHED else (signal.SIGHUP,)))
RESTART_PAUSE_S: Final = 1.0
REFUSED: Final = 3
"""The exit code of a worker that found its settings or its store wrong."""

log = structlog.get_logger()

RunWorker = Callable[[int, int | None], int]
"""Runs one worker to its end, its exit code out. In: its number, and a pipe that ends when its parent does."""


class Supervisor:
    """Runs workers until a stop signal; the workers then have `grace_s` seconds to finish, and `let_go` is called.

    Nothing is ever written to the lifeline: only this process holds its writing end, so that the workers read its end
    when this process ends, by whatever cause.
    """

    def __init__(self, run_worker: RunWorker, count: int, *, grace_s: float, let_go: Callable[[], None]) -> None:
        self._run_worker = run_worker
        self._count = count
        self._grace_s = grace_s
        self._let_go = let_go
        self._numbers: dict[int, int] = {}
        self._is_stopping = False
        self._has_restarted = False
        self._exit_code = 0
        self._lifeline, self._own_end = os.pipe()

    def run(self) -> int:
        """Fork the workers, mind them, and return the exit code: 0 after a clean stop, 1 if they would not start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        for name in STOP_SIGNALS:
            signal.signal(name, self._on_stop)
        for number in range(self._count):
            self._fork(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        while self._numbers:
            pid, status = self._wait()
            if pid:
                self._on_end(pid, os.waitstatus_to_exitcode(status))
        return self._exit_code

    def _wait(self) -> tuple[int, int]:
        try:
            return os.waitpid(-1, 0)
        except ChildProcessError:
            self._numbers.clear()
            return 0, 0

    def _fork(self, number: int) -> None:
        """Fork a worker. Stop signals wait until we know its id; for the worker, until it has handlers of its own."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(self._own_end)
            for name in STOP_SIGNALS:
                signal.signal(name, signal.SIG_DFL)
            # A child must never return into the parent's code: whatever happens, it ends here.
            code = 1
            try:
                code = self._run_reporting(number)
            finally:
                os._exit(code)
        self._numbers[pid] = number
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _run_reporting(self, number: int) -> int:
        """Run a worker; what ends it would be lost with its process, so it is logged here."""
        try:
            return self._run_worker(number, self._lifeline)
        except MintmarkError as error:
            log.error("worker_refused", worker=number, error=str(error))
            return REFUSED
        except Exception:
            log.exception("worker_failed", worker=number)
            return 1

    def _on_end(self, pid: int, code: int) -> None:
        number = self._numbers.pop(pid, None)
        if number is None or self._is_stopping:
            return
        log.error("worker_ended", worker=number, exit_code=code)
        if code == REFUSED and not self._has_restarted:
            # What the first workers refuse, the next ones would.
            self._exit_code = 1
            self._on_stop(signal.SIGTERM, None)
            return
        self._has_restarted = True
        time.sleep(RESTART_PAUSE_S)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if not self._is_stopping:
            self._fork(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _on_stop(self, signum: int, frame: object) -> None:
        """Pass the signal on; when the grace has run out, an alarm kills who is left."""
        self._is_stopping = True
        self._tell(signal.SIGTERM)
        self._let_go()
        signal.signal(signal.SIGALRM, lambda *_: self._tell(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, self._grace_s + 1.0)

    def _tell(self, signum: int) -> None:
        for pid in list(self._numbers):
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                continue
