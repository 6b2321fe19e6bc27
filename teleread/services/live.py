"""What has changed since a moment, told by ids and versions: the news that lists and boards follow.

The log of workflow events is the one source: whatever changes a state writes a row there in the same transaction, so
news can neither be lost nor come before the commit. The number of the row is the version that pages compare.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, allows, same_tenant
from teleread.domain.workflow import Machine
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import WorkflowEvent
from teleread.storage.models.reports import ReportVersion

WORKLIST, DELIVERY, GATEWAY = "worklist", "delivery", "gateway"

#: More than this at once is not told one by one: the page is asked to look anew.
LIMIT = 500

#: A gateway that was not heard for so long is silent; it shows itself every half minute.
GATEWAY_SILENT = timedelta(minutes=2)

#: What opens news of a kind. Kinds without a row are for those who coordinate.
_OPENS: dict[str, tuple[Action, ...]] = {
    WORKLIST: (Action.SEE_WORKLIST, Action.SEE_STATUS),
    DELIVERY: (Action.SEE_WORKLIST, Action.SEE_STATUS),
    GATEWAY: (Action.COORDINATE, Action.MANAGE_FACILITIES),
}
_OTHERS = (Action.COORDINATE,)


@dataclass(frozen=True)
class Change:
    """One piece of news.

    Parameters
    ----------
    version : int
        Number of the workflow event; for a gateway the second in which it was last heard.
    kind : str
        ``worklist``, ``delivery``, ``gateway``, or the name of a machine that concerns coordinators only.
    subject : str
        Case number; for a gateway its id.
    state : str
        The stored state now: of the reading, of the delivery, or ``heard`` and ``silent`` of a gateway.
    facility_id : int or None
        The tenant; None belongs to the centre alone.
    """

    version: int
    kind: str
    subject: str
    state: str
    facility_id: int | None

    def told(self) -> dict[str, Any]:
        """Return what leaves: no text, no identity, no tenant."""
        name = "gateway" if self.kind == GATEWAY else "case"
        return {"kind": self.kind, name: self.subject, "state": self.state, "version": self.version}


@dataclass(frozen=True)
class EventRow:
    """A row of the log, as far as news needs it."""

    number: int
    machine: str
    object_id: int
    to_state: str


def may_follow(actor: Actor) -> bool:
    """Say whether any news is for this actor."""
    return any(allows(actor, action) for actions in _OPENS.values() for action in actions)


def is_for(change: Change, actor: Actor) -> bool:
    """Say whether the actor may hear of it: by the table of actions, and within its own tenant."""
    if not any(allows(actor, action) for action in _OPENS.get(change.kind, _OTHERS)):
        return False
    return same_tenant(actor, change.facility_id)


def newest(session: Session) -> int:
    """Return the number of the newest event, 0 where nothing happened yet."""
    return session.scalar(select(func.max(WorkflowEvent.id))) or 0


def events_after(session: Session, number: int, *, limit: int | None = None) -> list[EventRow]:
    """Return the log's rows above a number, the oldest first."""
    asked = (
        select(WorkflowEvent.id, WorkflowEvent.machine, WorkflowEvent.object_id, WorkflowEvent.to_state)
        .where(WorkflowEvent.id > number)
        .order_by(WorkflowEvent.id)
        .limit(limit)
    )
    return [EventRow(*row) for row in session.execute(asked)]


def _cases() -> Any:
    return select(Reading.case_number, Reading.state, Reading.facility_id)


def _of_readings(ids: Iterable[int]) -> Any:
    return _cases().add_columns(Reading.id).where(Reading.id.in_(ids))


def _of_studies(ids: Iterable[int]) -> Any:
    return _cases().add_columns(Reading.study_id).where(Reading.study_id.in_(ids))


def _of_orders(ids: Iterable[int]) -> Any:
    return _cases().add_columns(Reading.order_id).where(Reading.order_id.in_(ids))


def _of_versions(ids: Iterable[int]) -> Any:
    return (
        _cases()
        .add_columns(ReportVersion.id)
        .join(ReportVersion, ReportVersion.reading_id == Reading.id)
        .where(ReportVersion.id.in_(ids))
    )


def _of_deliveries(ids: Iterable[int]) -> Any:
    return (
        select(Reading.case_number, Delivery.state, Delivery.facility_id, Delivery.id)
        .join(ReportVersion, ReportVersion.reading_id == Reading.id)
        .join(Delivery, Delivery.report_version_id == ReportVersion.id)
        .where(Delivery.id.in_(ids))
    )


#: Machine → kind of news, and how its things lead to cases.
_LOOKUPS = {
    Machine.READING: (WORKLIST, _of_readings),
    Machine.STUDY: (WORKLIST, _of_studies),
    Machine.ORDER: (WORKLIST, _of_orders),
    Machine.REPORT_VERSION: (WORKLIST, _of_versions),
    Machine.DELIVERY: (DELIVERY, _of_deliveries),
}


def resolve(session: Session, rows: Sequence[EventRow]) -> list[Change]:
    """Return the news that rows of the log are, each case once with its newest number, the oldest first."""
    found: dict[tuple[str, str], Change] = {}
    for machine in {row.machine for row in rows}:
        numbers = {row.object_id: row for row in rows if row.machine == machine}
        lookup = _LOOKUPS.get(Machine(machine))
        if lookup is None:
            changes = [Change(row.number, machine, "", row.to_state, None) for row in numbers.values()]
        else:
            kind, asked = lookup
            changes = [
                Change(numbers[object_id].number, kind, case_number, state, facility_id)
                for case_number, state, facility_id, object_id in session.execute(asked(numbers))
            ]
        for change in changes:
            key = (change.kind, change.subject)
            if key not in found or found[key].version < change.version:
                found[key] = change
    return sorted(found.values(), key=lambda change: change.version)


def changes_after(session: Session, number: int, *, actor: Actor) -> list[Change] | None:
    """Return the actor's news since a number; None if there is so much that one had better look anew."""
    rows = events_after(session, number, limit=LIMIT + 1)
    if len(rows) > LIMIT:
        return None
    return [change for change in resolve(session, rows) if is_for(change, actor)]


def gateways(session: Session, *, at: datetime) -> list[Change]:
    """Return for each living gateway whether it is heard or silent."""
    asked = select(Gateway.id, Gateway.facility_id, Gateway.last_seen_at).where(Gateway.revoked_at.is_(None))
    return [
        Change(
            int(seen.timestamp()) if seen else 0,
            GATEWAY,
            str(number),
            "heard" if seen and at - seen < GATEWAY_SILENT else "silent",
            facility_id,
        )
        for number, facility_id, seen in session.execute(asked)
    ]
