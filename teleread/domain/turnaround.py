"""When a report is due. Facility calendars and pauses come with the contracts; this is the plain promise."""

from datetime import datetime, timedelta
from enum import StrEnum


class Priority(StrEnum):
    """How soon a reading is needed; the order of the members is the order of the worklist."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"
    SCREENING = "screening"


#: Promise by priority, from the start of the clock to the signature.
PROMISE: dict[Priority, timedelta] = {
    Priority.STAT: timedelta(minutes=60),
    Priority.URGENT: timedelta(hours=4),
    Priority.ROUTINE: timedelta(hours=24),
    Priority.SCREENING: timedelta(days=7),
}

#: A person may need this long to fetch the rest of a study before it counts as stalled, after the quiet time.
STALL_MARGIN = timedelta(seconds=60)


def due_at(priority: str, start_at: datetime) -> datetime:
    """Return the moment by which the report is promised."""
    return start_at + PROMISE[Priority(priority)]


def is_breached(due: datetime | None, now: datetime, signed_at: datetime | None = None) -> bool:
    """Say whether the promise is broken: signed late, or not signed and late by now."""
    return due is not None and (signed_at or now) > due


def stalled_before(now: datetime, quiet_seconds: int) -> datetime:
    """Return the moment before which the last sign of a study must lie for it to count as stalled.

    The gateway closes a manifest only after the facility's quiet time, so that time counts twice here; otherwise
    every study would be called stalled in the moment before its manifest arrives.
    """
    return now - 2 * timedelta(seconds=quiet_seconds) - STALL_MARGIN
