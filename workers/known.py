"""Jobs by name from a fixed list: what else lies in Redis is data, and is never called."""

from collections.abc import Callable
from types import FrameType
from typing import Any

from rq import Worker
from rq.job import Job

from teleread.errors import NotAllowed
from teleread.jobs import JobName

_FUNCTIONS = {f"workers.jobs.{name}": name for name in JobName}


class KnownJob(Job):
    """A job whose function has to be one of ours.

    RQ calls whatever name stands in Redis, a job's callbacks too: ``os.system`` is as good a name as any. Who can write
    into Redis must not thereby run programs.
    """

    @property
    def func(self) -> Callable[..., Any]:
        """Return the function, or raise NotAllowed for a name that is not on the list."""
        from workers import jobs

        name = _FUNCTIONS.get(str(self.func_name))
        if name is None or self.instance is not None:
            raise NotAllowed("this job is not one of the centre's")
        return getattr(jobs, name)  # type: ignore[no-any-return]

    @property
    def success_callback(self) -> None:
        """None: our jobs have no callbacks."""

    @property
    def failure_callback(self) -> None:
        """None: our jobs have no callbacks."""

    @property
    def stopped_callback(self) -> None:
        """None: our jobs have no callbacks."""


class KnownWorker(Worker):
    """A worker that remembers whether it was told to stop: RQ ends its loop in the same way when something broke it."""

    was_told_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the job at hand."""
        self.was_told_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]
