"""Work on files from outside, in child processes: a file that is built to break its reader breaks a child only."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

from gateway.deidentify import SECONDS_PER_FILE, end_with_parent
from teleread.errors import TelereadError

Key = TypeVar("Key")
Answer = TypeVar("Answer")

_GONE = (BrokenProcessPool, CancelledError, TimeoutError)
#: Files that wait for each child.
_AHEAD = 4


class Crashed(TelereadError):  # noqa: N818 - the name says what happened, as in teleread.errors
    """The process that read the file ended, or did not end in time."""

    code = "crashed"


class Children(Generic[Answer]):
    """As many children as there are processors, each at one file."""

    def __init__(self, function: Callable[..., Answer], *, processes: int | None = None) -> None:
        self._function = function
        self._processes = processes or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """End them, whatever they are at."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def answers(
        self, jobs: Iterable[tuple[Key, tuple[Any, ...]]]
    ) -> Iterator[tuple[Key, Answer | Exception]]:
        """Yield what came of each job, in their order: an answer, what the function raised, or `Crashed`.

        Jobs are taken as they are needed, so that a million of them costs no memory.
        """
        waiting: deque[tuple[Key, tuple[Any, ...], Future[Answer]]] = deque()
        coming = iter(jobs)
        while True:
            while len(waiting) < self._processes * _AHEAD and (job := next(coming, None)) is not None:
                waiting.append((*job, self._submit(job[1])))
            if not waiting:
                return
            key, arguments, future = waiting.popleft()
            answer: Answer | Exception
            try:
                answer = future.result(timeout=SECONDS_PER_FILE)
            except _GONE:
                # One of the files broke the pool that all of them shared. Alone, only the guilty one does.
                self.close()
                answer = self._alone(arguments)
                waiting = deque(
                    (one, given, old if _is_answered(old) else self._submit(given))
                    for one, given, old in waiting
                )
            except Exception as problem:  # noqa: BLE001 - handed on
                answer = problem
            yield key, answer

    def _alone(self, arguments: tuple[Any, ...]) -> Answer | Exception:
        try:
            return self._submit(arguments).result(timeout=SECONDS_PER_FILE)
        except _GONE:
            self.close()
            return Crashed("the process that read the file ended")
        except Exception as problem:  # noqa: BLE001 - handed on
            return problem

    def _submit(self, arguments: tuple[Any, ...]) -> "Future[Answer]":
        try:
            return self._children().submit(self._function, *arguments)
        except BrokenProcessPool:
            self.close()
            return self._children().submit(self._function, *arguments)

    def _children(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: this process may have threads and has open databases.
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=end_with_parent,
            )
        return self._pool


def _is_answered(future: "Future[Any]") -> bool:
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)
