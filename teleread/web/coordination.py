"""Coordination: the open cases, and signed reports that are not home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.errors import StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import delivery, ingest, reading
from teleread.storage.queries.readers import active_readers
from teleread.storage.session import transaction
from teleread.web.views.cases import CaseRow, case_number_of, case_row
from teleread.web.views.layout import language
from teleread.web.views.times import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("coordination", __name__, url_prefix="/coordination")

#: Reading states from which the table knows `assign`, and those from which it knows `release` by a coordinator.
ASSIGNABLE = frozenset({"unassigned", "assigned"})
RELEASABLE = frozenset({"in_progress", "on_hold"})


@dataclass(frozen=True)
class CoordinationRow:
    """A case and what may be done with it here."""

    case: CaseRow
    assignable: bool
    releasable: bool
    acceptable: bool


@dataclass(frozen=True)
class DeliveryRow:
    """A signed report that is not home."""

    case_number: str
    url: str
    facility: str
    version: int
    state_key: str
    since: str
    reason: str
    attempts: int
    retriable: bool


def _page(notice: str | None = None, status: int = 200) -> ResponseReturnValue:
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = reading.worklist(session, actor=actor(), at=at)
        readers = active_readers(session)
        troubled = delivery.troubled(session, actor=actor())
    may = allows(actor(), Action.ASSIGN)
    rows = [
        CoordinationRow(
            case_row(row, language=language(), at=at),
            assignable=may and row.state in ASSIGNABLE,
            releasable=may and row.state in RELEASABLE,
            acceptable=row.study_state == "incomplete"
            and row.images > 0
            and allows(actor(), Action.ACCEPT_INCOMPLETE),
        )
        for row in found
    ]
    deliveries = [
        DeliveryRow(
            case_number=one.case_number,
            url=url_for("readings.case", case_number=one.case_number),
            facility=one.facility_name,
            version=one.version,
            state_key=f"delivery.{one.state}",
            since=moment(one.since),
            reason=one.reason,
            attempts=one.attempts,
            retriable=one.state == "failed" and allows(actor(), Action.MOVE_DELIVERY),
        )
        for one in troubled
    ]
    page = render_template(
        "coordination.html", rows=rows, deliveries=deliveries, readers=readers, notice=notice
    )
    return page, status


@blueprint.get("")
def coordination() -> ResponseReturnValue:
    """Show the open cases."""
    return _page()


def _done(case_number: str, act: Callable[..., object], field: str) -> ResponseReturnValue:
    """Do what a form of the page asks, with the one field that it sends, and go back to the page."""
    try:
        with transaction(centre().engine) as session:
            act(
                session,
                case_number_of(case_number),
                request.form.get(field, ""),
                actor=actor(),
                at=clock.now(),
            )
    except (StateChangedMeanwhile, TransitionNotAllowed):
        return _page("case.changed", 409)
    return redirect(url_for("coordination.coordination"), 303)


@blueprint.post("/<case_number>/assign")
def assign(case_number: str) -> ResponseReturnValue:
    """Give a case to a reader."""
    return _done(case_number, reading.assign, "username")


@blueprint.post("/<case_number>/release")
def release(case_number: str) -> ResponseReturnValue:
    """Take a case from its reader; the draft stays for the next one."""
    return _done(case_number, reading.release, "reason")


@blueprint.post("/<case_number>/retry")
def retry(case_number: str) -> ResponseReturnValue:
    """Offer a report whose delivery failed to the facility again."""
    return _done(case_number, delivery.retry, "reason")


@blueprint.post("/<case_number>/accept")
def accept(case_number: str) -> ResponseReturnValue:
    """Let a study be read of which not everything came."""
    return _done(case_number, ingest.accept_as_is, "reason")
