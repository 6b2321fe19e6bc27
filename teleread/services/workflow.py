"""The only place that assigns a state."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from teleread.domain.access import Actor
from teleread.domain.workflow import START, Machine, Who, next_state
from teleread.errors import StateChangedMeanwhile
from teleread.storage.models.critical import CriticalFinding
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import WorkflowEvent
from teleread.storage.models.reports import ReportVersion
from teleread.storage.models.studies import Study

Stateful = Order | Study | Reading | ReportVersion | Delivery | CriticalFinding

#: Which machine a thing follows, and the column that holds its state.
MACHINES: dict[type[Any], tuple[Machine, str]] = {
    Order: (Machine.ORDER, "state"),
    Study: (Machine.STUDY, "state"),
    Reading: (Machine.READING, "state"),
    ReportVersion: (Machine.REPORT_VERSION, "status"),
    Delivery: (Machine.DELIVERY, "state"),
    CriticalFinding: (Machine.CRITICAL_FINDING, "state"),
}


def start(session: Session, thing: Stateful, *, actor: Actor, at: datetime) -> None:
    """Put a new thing into its machine's first state, write it and the event ``created``."""
    machine, column = MACHINES[type(thing)]
    setattr(thing, column, START[machine])
    session.add(thing)
    session.flush()
    _add_event(
        session,
        machine,
        thing.id,
        "created",
        from_state="",
        to_state=START[machine],
        actor=actor,
        at=at,
        reason="",
    )


def apply(
    session: Session,
    thing: Stateful,
    event: str,
    *,
    actor: Actor,
    at: datetime,
    reason: str = "",
    as_who: frozenset[Who] = frozenset(),
    **values: Any,
) -> None:
    """Bring a thing to its next state by compare-and-set, and write the event.

    Parameters
    ----------
    thing : Order, Study, Reading, ReportVersion, Delivery or CriticalFinding
        As loaded in this session; its state is what the caller decided upon.
    event : str
    actor : Actor
        Named in the event, also where the change is only a consequence of what the actor did.
    as_who : frozenset of Who
        Capacities that the service grants besides the actor's roles: ``SYSTEM`` for a consequence, ``WORKER``.
    values
        Columns that change with the state, in the same statement.

    Raises
    ------
    TransitionNotAllowed
        Not in the table for this state, event and actor.
    StateChangedMeanwhile
        Somebody else was first.
    """
    model = type(thing)
    machine, column = MACHINES[model]
    state: str = getattr(thing, column)
    to = next_state(machine, state, event, capacities(thing, actor) | as_who)
    # Whoever assigned the reading between the look and this statement has won, also where the state stays the same.
    guards = [model.id == thing.id, getattr(model, column) == state]
    if isinstance(thing, Reading):
        guards.append(Reading.assignee_id.is_not_distinct_from(thing.assignee_id))
    done = cast(
        "CursorResult[Any]",
        session.execute(
            update(model)
            .where(*guards)
            .values({column: to, **values})
            .execution_options(synchronize_session=False)
        ),
    )
    if done.rowcount != 1:
        raise StateChangedMeanwhile(
            f"this {machine.replace('_', ' ')} is no longer {state.replace('_', ' ')}"
        )
    session.refresh(thing)
    _add_event(
        session, machine, thing.id, event, from_state=state, to_state=to, actor=actor, at=at, reason=reason
    )


def tell(
    session: Session, thing: Stateful, event: str, *, actor: Actor, at: datetime, reason: str = ""
) -> None:
    """Write an event that changes no state, so that lists and boards look at the thing anew."""
    machine, column = MACHINES[type(thing)]
    state = getattr(thing, column)
    _add_event(
        session, machine, thing.id, event, from_state=state, to_state=state, actor=actor, at=at, reason=reason
    )


def capacities(thing: Stateful, actor: Actor) -> frozenset[str]:
    """Return the roles of the actor and its relations to the thing."""
    found = set(actor.roles)
    reading = thing.reading if isinstance(thing, ReportVersion | CriticalFinding) else thing
    if isinstance(reading, Reading) and actor.user_id is not None and reading.assignee_id == actor.user_id:
        found.add(Who.ASSIGNEE)
    return frozenset(found)


def _add_event(
    session: Session,
    machine: Machine,
    object_id: int,
    event: str,
    *,
    from_state: str,
    to_state: str,
    actor: Actor,
    at: datetime,
    reason: str,
) -> None:
    session.add(
        WorkflowEvent(
            machine=machine,
            object_id=object_id,
            event=event,
            from_state=from_state,
            to_state=to_state,
            actor_kind=actor.kind,
            actor_name=actor.name,
            from_where=actor.from_where,
            reason=reason,
            at=at,
        )
    )
