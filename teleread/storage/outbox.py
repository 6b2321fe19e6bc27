"""Requests for background work: a row in the transaction that needs it, not a call to the queue.

Redis may forget; the row does not. `workers/relay.py` hands rows over and hands them over again until they are done.
"""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from teleread.jobs import JOBS, JobName
from teleread.storage.models.records import OutboxRow


def request_job(session: Session, job: JobName, subject_id: int, *, at: datetime) -> OutboxRow:
    """Ask for `job` on the thing with this id, once the transaction is committed."""
    row = OutboxRow(job=job, subject_id=subject_id, requested_at=at, attempts=0, last_error="")
    session.add(row)
    session.flush()
    return row


def due(session: Session, *, at: datetime, limit: int = 100) -> list[OutboxRow]:
    """Return rows that are to be handed to the queue now.

    New ones, ones whose back-off is over, and ones that were handed over so long ago that the queue must have lost
    them or their worker died.
    """
    found: list[OutboxRow] = []
    for name, policy in JOBS.items():
        lost = at - timedelta(seconds=policy.lost_after_seconds)
        found += session.scalars(
            select(OutboxRow)
            .where(
                OutboxRow.job == name,
                OutboxRow.done_at.is_(None),
                or_(OutboxRow.not_before.is_(None), OutboxRow.not_before <= at),
                or_(OutboxRow.enqueued_at.is_(None), OutboxRow.enqueued_at <= lost),
            )
            .order_by(OutboxRow.id)
            .limit(limit)
        )
    return sorted(found, key=lambda row: row.id)[:limit]


def mark_enqueued(session: Session, row_id: int, *, at: datetime) -> None:
    """Note that the queue has the row."""
    session.execute(update(OutboxRow).where(OutboxRow.id == row_id).values(enqueued_at=at))


def mark_done(session: Session, row_id: int, *, at: datetime) -> None:
    """Note that the work is done, or that there is nothing left to do."""
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.id == row_id, OutboxRow.done_at.is_(None))
        .values(done_at=at, last_error="")
    )


def mark_started(session: Session, row_id: int, *, at: datetime) -> int | None:
    """Note a try and return the id of its subject; None if the work is done already.

    When the next try is due is written down before this one begins: a job that kills its worker comes back with
    growing pauses too, not only one that raises.
    """
    row = session.get(OutboxRow, row_id, with_for_update=True)
    if row is None or row.done_at is not None:
        return None
    steps = JOBS[JobName(row.job)].retry_after_seconds
    row.not_before = at + timedelta(seconds=steps[min(row.attempts, len(steps) - 1)])
    row.attempts += 1
    return row.subject_id


def mark_failed(session: Session, row_id: int, code: str) -> None:
    """Note why a try failed. The row stays undone, however often this happens."""
    row = session.get_one(OutboxRow, row_id, with_for_update=True)
    row.enqueued_at = None
    row.last_error = code
