"""Coordination, first cut: the open cases, assigned and released by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.errors import StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import reading
from teleread.storage.queries.readers import active_readers
from teleread.storage.session import transaction
from teleread.web.views.cases import CaseRow, case_number_of, case_row
from teleread.web.views.layout import language

if TYPE_CHECKING:
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


def _page(notice: str | None = None, status: int = 200) -> ResponseReturnValue:
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = reading.worklist(session, actor=actor(), at=at)
        readers = active_readers(session)
    may = allows(actor(), Action.ASSIGN)
    rows = [
        CoordinationRow(
            case_row(row, language=language(), at=at),
            assignable=may and row.state in ASSIGNABLE,
            releasable=may and row.state in RELEASABLE,
        )
        for row in found
    ]
    return render_template("coordination.html", rows=rows, readers=readers, notice=notice), status


@blueprint.get("")
def coordination() -> ResponseReturnValue:
    """Show the open cases."""
    return _page()


@blueprint.post("/<case_number>/assign")
def assign(case_number: str) -> ResponseReturnValue:
    """Give a case to a reader."""
    try:
        with transaction(centre().engine) as session:
            reading.assign(
                session,
                case_number_of(case_number),
                request.form.get("username", ""),
                actor=actor(),
                at=clock.now(),
            )
    except (StateChangedMeanwhile, TransitionNotAllowed):
        return _page("case.changed", 409)
    return redirect(url_for("coordination.coordination"), 303)


@blueprint.post("/<case_number>/release")
def release(case_number: str) -> ResponseReturnValue:
    """Take a case from its reader; the draft stays for the next one."""
    try:
        with transaction(centre().engine) as session:
            reading.release(
                session,
                case_number_of(case_number),
                request.form.get("reason", ""),
                actor=actor(),
                at=clock.now(),
            )
    except (StateChangedMeanwhile, TransitionNotAllowed):
        return _page("case.changed", 409)
    return redirect(url_for("coordination.coordination"), 303)
