"""Hands rows of the outbox to RQ, and hands them over again until they are done.

The table is the memory, Redis the muscle: a job that Redis lost, or whose worker was killed, is found here by its row.
"""

import logging
from datetime import UTC, datetime, timedelta

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job, JobStatus
from sqlalchemy import Engine

from teleread.jobs import JOBS, JobName
from teleread.storage import outbox
from teleread.storage.models.records import OutboxRow
from teleread.storage.session import transaction

_log = logging.getLogger(__name__)

#: A running job shows a sign of life every two seconds; without one for this long its worker is dead.
HEARTBEAT_SECONDS = 2
DEAD_AFTER = timedelta(seconds=6)

#: Job ids may only hold letters, digits, `_` and `-`.
_WAITING = frozenset({JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED})


def relay(engine: Engine, connection: Redis, *, at: datetime) -> int:
    """Hand over what is due and return how many rows that were.

    The row is marked after the queue has the job. Dying in between hands the same row over twice, under one job id.
    """
    with transaction(engine, writes=False) as session:
        rows = outbox.due(session, at=at)
    handed = 0
    for row in rows:
        if _hand_over(row, connection, at):
            handed += 1
        with transaction(engine) as session:
            outbox.mark_enqueued(session, row.id, at=at)
    return handed


def _hand_over(row: OutboxRow, connection: Redis, at: datetime) -> bool:
    policy = JOBS[JobName(row.job)]
    queue = Queue(policy.queue, connection=connection, serializer="json")
    job_id = f"{row.job}-{row.id}"
    for _ in range(2):
        try:
            queue.enqueue_call(
                f"workers.jobs.{row.job}",
                args=[row.id],
                timeout=policy.time_limit_seconds,
                result_ttl=60,
                failure_ttl=60,
                description=job_id,
                job_id=job_id,
                unique=True,
            )
        except DuplicateJobError:
            if _is_in_good_hands(job_id, connection, at):
                return False
        else:
            return True
    return False


def _is_in_good_hands(job_id: str, connection: Redis, at: datetime) -> bool:
    # The row says that the work is not done. A job that waits, or whose worker is alive, will see to it; any other is
    # a leftover that stands in the way of the next try.
    try:
        job = Job.fetch(job_id, connection=connection, serializer="json")
        status = job.get_status()
        if status in _WAITING:
            return True
        beat = job.last_heartbeat
        if status == JobStatus.STARTED and beat is not None:
            beat = beat if beat.tzinfo else beat.replace(tzinfo=UTC)
            if at - beat < DEAD_AFTER:
                return True
        job.delete()
    except NoSuchJobError:
        return False
    _log.warning("job %s was lost by its worker; it is handed over again", job_id)
    return False
