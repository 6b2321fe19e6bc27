"""Keeps child processes running: starts, restarts with back-off, ends by process id. Used by `teleread up` and the demo.

No child outlives its supervisor: each asks the kernel for SIGTERM at its parent's death, so that a killed supervisor
leaves nothing behind. The kernel means the *thread* that forked; therefore one thread starts all children and lives
until the end.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: prctl(2): the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1

#: First wait before a child that died is started again; doubles up to the longest wait.
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 10.0

#: A child that lived so long has not failed at its start: the wait begins anew.
STEADY_SECONDS = 10.0

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Child:
    """What to run.

    Parameters
    ----------
    name : str
        Shown to the operator.
    command : sequence of str
        Program and arguments.
    environment : mapping
        The whole environment of the process.
    log : Path
        File that its output is appended to.
    ends_last : bool
        Whether the others need it until they have ended themselves.
    scratch : Path, optional
        Its folder for temporary files, emptied at each start: what a killed process left there goes with it.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ends_last: bool = False
    scratch: Path | None = None


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_again_at: float = 0.0
    wait: float = FIRST_WAIT_SECONDS
    starts: int = field(default=0)


def _die_with_parent() -> Callable[[], None]:
    """Return what a child does between fork and exec; the library is loaded here, before the fork."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the request was made
            os._exit(1)

    return ask


class Supervisor:
    """Runs children in a thread of its own until `stop` is called.

    Parameters
    ----------
    say : callable
        Takes one line for the operator.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: dict[str, _Running] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._die_with_parent = _die_with_parent()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, children: Sequence[Child]) -> None:
        """Add children; they are started by the watching thread."""
        with self._lock:
            for child in children:
                child.log.parent.mkdir(parents=True, exist_ok=True)
                self._running[child.name] = _Running(child)
        if not self._thread.is_alive():
            self._thread.start()

    def process_id(self, name: str) -> int | None:
        """Return the process id of a child, or None between death and restart."""
        with self._lock:
            process = self._running[name].process
            return process.pid if process is not None and process.poll() is None else None

    def names(self) -> list[str]:
        """Return the names of all children."""
        with self._lock:
            return list(self._running)

    def log(self, name: str) -> Path:
        """Return where a child's output goes."""
        with self._lock:
            return self._running[name].child.log

    def starts(self, name: str) -> int:
        """Return how often a child has been started."""
        with self._lock:
            return self._running[name].starts

    def stop(self, *, seconds: float = 15.0) -> None:
        """End all children and wait, those that the others need last; what does not end in time is killed."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        for ends_last in (False, True):
            _end(
                [r.process for r in self._running.values() if r.process and r.child.ends_last is ends_last],
                seconds,
            )

    def _watch(self) -> None:
        while not self._ending.is_set():
            with self._lock:
                for running in self._running.values():
                    self._tend(running, time.monotonic())
            self._ending.wait(_POLL_SECONDS)

    def _tend(self, running: _Running, now: float) -> None:
        process = running.process
        if process is None:
            if now >= running.start_again_at:
                self._spawn(running, now)
            return
        code = process.poll()
        if code is None:
            return
        if now - running.started >= STEADY_SECONDS:
            running.wait = FIRST_WAIT_SECONDS
        self._say(f"{running.child.name} ended with {code}; starting it again in {running.wait:.1f} s")
        running.process = None
        running.start_again_at = now + running.wait
        running.wait = min(running.wait * 2, LONGEST_WAIT_SECONDS)

    def _spawn(self, running: _Running, now: float) -> None:
        environment = dict(running.child.environment)
        if (scratch := running.child.scratch) is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            environment["TMPDIR"] = os.fspath(scratch)
        with running.child.log.open("ab") as log:
            running.process = subprocess.Popen(
                list(running.child.command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the supervisor; it ends the children in order
                preexec_fn=self._die_with_parent,  # noqa: PLW1509 - one prctl call, no lock is taken
            )
        running.started = now
        running.starts += 1


def _end(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_signal() -> threading.Event:
    """Return an event that is set by Ctrl-C or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    return ended


def python(*arguments: str) -> list[str]:
    """Return the command that runs this interpreter with `arguments`, unbuffered."""
    return [sys.executable, "-u", *arguments]
