"""Background jobs by name, and one table that says how each of them runs."""

from dataclasses import dataclass
from enum import StrEnum


class JobName(StrEnum):
    """Names of jobs as they stand in the outbox; each has exactly one function in `workers/jobs.py`."""

    RENDER_REPORT = "render_report"
    SIGN_REPORT = "sign_report"
    SEND_CRITICAL_ALERT = "send_critical_alert"


@dataclass(frozen=True)
class JobPolicy:
    """How a job runs.

    Parameters
    ----------
    queue : str
        Name of the RQ queue.
    time_limit_seconds : int
        After this the child process of the worker is killed.
    retry_after_seconds : tuple of int
        Back-off between tries; the last value repeats. A job of the outbox is never given up silently.
    lost_after_seconds : int
        A row that was handed to the queue and is not done after this time is handed over again: Redis may have
        lost it, or the worker was killed.
    """

    queue: str
    time_limit_seconds: int
    retry_after_seconds: tuple[int, ...]
    lost_after_seconds: int


JOBS: dict[JobName, JobPolicy] = {
    JobName.RENDER_REPORT: JobPolicy("reports", 120, (1, 2, 5, 15, 60), 5),
    JobName.SIGN_REPORT: JobPolicy("reports", 120, (1, 2, 5, 15, 60), 5),
    # A queue of its own, which workers look at first.
    JobName.SEND_CRITICAL_ALERT: JobPolicy("alerts", 60, (1, 2, 5, 15, 60), 5),
}
