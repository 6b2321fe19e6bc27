"""The coordinator's board: cases by minutes left, critical findings, what is stuck, and who shows a sign of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.errors import StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import coordination as people_and_boxes
from teleread.services import critical, delivery, ingest, reading
from teleread.storage.queries.readers import active_readers
from teleread.storage.session import transaction
from teleread.web.i18n import text
from teleread.web.views.cases import CaseRow, case_number_of, case_row
from teleread.web.views.critical import finding_row
from teleread.web.views.filters import SIGNED
from teleread.web.views.layout import language
from teleread.web.views.marks import PINNED
from teleread.web.views.times import clock_time, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("coordination", __name__, url_prefix="/coordination")

#: Reading states from which a case can be given to a reader, and those from which a coordinator takes it back.
GIVABLE = frozenset({"unassigned", "assigned", "in_progress", "on_hold"})
RELEASABLE = frozenset({"in_progress", "on_hold"})

_SOON_MINUTES = 60

#: Drawing and token of a gateway's sign of life (ui.md, section 6).
_GATEWAY_MARKS = {
    "fine": ("live", "green"),
    "silent": ("silent", "amber"),
    "lost": ("silent", "vermilion"),
    "never": ("silent", "ink-3"),
}


@dataclass(frozen=True)
class BoardRow:
    """A case and what may be done with it here."""

    case: CaseRow
    givable: bool
    held_by_somebody: bool
    releasable: bool
    acceptable: bool
    is_held: bool
    is_withheld_urgent: bool


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


@dataclass(frozen=True)
class GatewayRow:
    """A box and its last sign of life."""

    facility: str
    shape: str
    colour: str
    sign_key: str
    seen: str
    queue: int
    held: int
    little_space: bool


@dataclass(frozen=True)
class PersonRow:
    """A person, the last sign of life, and the cases held."""

    name: str
    state_key: str
    colour: str
    seen: str
    is_reader: bool
    assigned: int
    reading: int


@dataclass(frozen=True)
class Count:
    """A number at the top, and the panel that it speaks of."""

    text_key: str
    number: int
    shape: str
    colour: str
    panel: str


def _ago(then: datetime | None, at: datetime) -> str:
    if then is None:
        return "—"
    seconds = max(0, int((at - then).total_seconds()))
    if seconds < 60:
        return text(language(), "board.ago.seconds", count=seconds)
    if seconds < 3600:
        return text(language(), "board.ago.minutes", count=seconds // 60)
    return moment(then)


def _board() -> dict[str, Any]:
    at, who = clock.now(), actor()
    with transaction(centre().engine, writes=False) as session:
        cases = reading.worklist(session, actor=who, at=at)
        readers = active_readers(session)
        troubled = delivery.troubled(session, actor=who)
        open_findings = critical.of_board(session, actor=who, at=at)
        boxes = people_and_boxes.gateways(session, actor=who, at=at)
        people = people_and_boxes.people(session, actor=who)
    rows = sorted((_row(one, at) for one in cases), key=_by_minutes_left)
    deliveries = [_delivery_row(one) for one in troubled]
    late = sum(row.case.left.tone == "late" for row in rows)
    soon = sum(
        row.case.left.minutes is not None and 0 <= row.case.left.minutes <= _SOON_MINUTES for row in rows
    )
    held = sorted((row for row in rows if row.is_held), key=lambda row: not row.is_withheld_urgent)
    withheld = sum(row.is_withheld_urgent for row in held)
    silent = sum(one.sign in {"silent", "lost"} for one in boxes)
    return {
        "as_of": clock_time(at),
        "rows": rows,
        "held": held,
        "deliveries": deliveries,
        "readers": readers,
        "findings": [finding_row(one, language=language(), at=at) for one in open_findings],
        "gateways": [_gateway_row(one, at) for one in boxes],
        "people": [_person_row(one, at) for one in people],
        "counts": [
            Count("board.count.late", late, "warning", "vermilion", "cases"),
            Count("board.count.soon", soon, "urgent", "amber", "cases"),
            Count("board.count.critical", len(open_findings), "stat", "vermilion", "critical"),
            Count("board.count.held", len(held), "held", "violet", "held"),
            Count("board.count.withheld", withheld, "stat", "vermilion", "held"),
            Count("board.count.undelivered", len(deliveries), "delivered", "vermilion", "undelivered"),
            Count("board.count.silent", silent, "silent", "amber", "gateways"),
        ],
    }


def _row(row: reading.WorklistRow, at: datetime) -> BoardRow:
    may = allows(actor(), Action.ASSIGN)
    incomplete = row.study_state == "incomplete"
    return BoardRow(
        case=case_row(row, language=language(), at=at),
        givable=may and row.state in GIVABLE,
        held_by_somebody=row.assignee is not None,
        releasable=may and row.state in RELEASABLE,
        acceptable=incomplete and row.images > 0 and allows(actor(), Action.ACCEPT_INCOMPLETE),
        is_withheld_urgent=row.held > 0 and row.priority in PINNED and row.display_status not in SIGNED,
        is_held=incomplete or row.state == "on_hold" or row.held > 0 or row.study_state == "quarantined",
    )


def _by_minutes_left(row: BoardRow) -> tuple[bool, int]:
    # What nothing was promised of comes last; late ones have the least minutes.
    minutes = row.case.left.minutes
    return minutes is None, minutes or 0


def _delivery_row(one: delivery.TroubledDelivery) -> DeliveryRow:
    return DeliveryRow(
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


def _gateway_row(one: people_and_boxes.GatewaySign, at: datetime) -> GatewayRow:
    shape, colour = _GATEWAY_MARKS[one.sign]
    return GatewayRow(
        facility=one.facility_name,
        shape=shape,
        colour=colour,
        sign_key=f"board.gateway.{one.sign}",
        seen=_ago(one.last_seen_at, at),
        queue=one.queue,
        held=one.held,
        little_space=one.little_space,
    )


def _person_row(one: people_and_boxes.PersonSign, at: datetime) -> PersonRow:
    return PersonRow(
        name=one.display_name,
        state_key="board.person.in" if one.is_signed_in else "board.person.out",
        colour="green" if one.is_signed_in else "ink-3",
        seen=_ago(one.last_seen_at, at),
        is_reader=one.is_reader,
        assigned=one.assigned,
        reading=one.reading,
    )


def _page(notice: str | None = None, status: int = 200) -> ResponseReturnValue:
    return render_template("coordination.html", notice=notice, **_board()), status


@blueprint.get("")
def coordination() -> ResponseReturnValue:
    """Show the board."""
    return _page()


@blueprint.get("/board")
def board() -> ResponseReturnValue:
    """Return what changes on the board, for its script."""
    return render_template("_board.html", **_board())


def _done(act: Callable[..., object], case_number: str, *fields: str) -> ResponseReturnValue:
    """Do what a form of the board asks, with the fields that it sends, and go back to the board."""
    values = [request.form.get(field, "") for field in fields]
    try:
        with transaction(centre().engine) as session:
            act(session, case_number_of(case_number), *values, actor=actor(), at=clock.now())
    except (StateChangedMeanwhile, TransitionNotAllowed):
        return _page("case.changed", 409)
    return redirect(url_for("coordination.coordination"), 303)


@blueprint.post("/<case_number>/assign")
def assign(case_number: str) -> ResponseReturnValue:
    """Give a case to a reader; taking it from another one needs a reason."""
    return _done(people_and_boxes.give, case_number, "username", "reason")


@blueprint.post("/<case_number>/release")
def release(case_number: str) -> ResponseReturnValue:
    """Take a case from its reader; the draft stays for the next one."""
    return _done(reading.release, case_number, "reason")


@blueprint.post("/<case_number>/retry")
def retry(case_number: str) -> ResponseReturnValue:
    """Offer a report whose delivery failed to the facility again."""
    return _done(delivery.retry, case_number, "reason")


@blueprint.post("/<case_number>/accept")
def accept(case_number: str) -> ResponseReturnValue:
    """Let a study be read of which not everything came."""
    return _done(ingest.accept_as_is, case_number, "reason")
