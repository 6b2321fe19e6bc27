"""What people see of the stored states, and in which order."""

from datetime import UTC, datetime
from enum import StrEnum

from teleread.domain.turnaround import Priority


class DisplayStatus(StrEnum):
    """The one word that a list shows; not a stored state."""

    RECEIVED = "received"
    READY = "ready"
    ASSIGNED = "assigned"
    READING = "reading"
    HELD = "held"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    DELIVERY_HELD = "delivery_held"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    ADDENDED = "addended"
    CANCELLED = "cancelled"


_BY_READING = {
    "waiting": DisplayStatus.RECEIVED,
    "unassigned": DisplayStatus.READY,
    "assigned": DisplayStatus.ASSIGNED,
    "in_progress": DisplayStatus.READING,
    "on_hold": DisplayStatus.HELD,
    "completed": DisplayStatus.FINAL,
    "cancelled": DisplayStatus.CANCELLED,
}

_BY_DELIVERY = {
    "delivered": DisplayStatus.DELIVERED,
    "acknowledged": DisplayStatus.ACKNOWLEDGED,
    "held": DisplayStatus.DELIVERY_HELD,
    "failed": DisplayStatus.DELIVERY_FAILED,
}


def display_status(
    study: str, reading: str, report: str | None = None, delivery: str | None = None, *, version: int = 1
) -> DisplayStatus:
    """Return the word for a case.

    Parameters
    ----------
    study, reading : str
        States of the machines.
    report : str, optional
        Status of the newest report version that is not a draft.
    delivery : str, optional
        State of that version's delivery.
    version : int
        Number of that version; from 2 on it is an addendum or a correction.
    """
    if study in {"quarantined", "rejected"}:
        return DisplayStatus.HELD
    if reading == "cancelled":
        return DisplayStatus.CANCELLED
    if report == "final":
        return _BY_DELIVERY.get(
            delivery or "", DisplayStatus.ADDENDED if version > 1 else DisplayStatus.FINAL
        )
    # An addendum has its own case; what it adds to is still on its own way.
    if report == "superseded" and delivery in {"held", "failed"}:
        return _BY_DELIVERY[delivery]
    if report == "preliminary":
        return DisplayStatus.PRELIMINARY
    return _BY_READING[reading]


_RANK = {priority.value: place for place, priority in enumerate(Priority)}
_NEVER = datetime.max.replace(tzinfo=UTC)


def sort_key(priority: str, due: datetime | None, received: datetime) -> tuple[int, datetime, datetime]:
    """Return the place in the worklist: priority, then what is due first, then what came first."""
    return _RANK[priority], due or _NEVER, received
