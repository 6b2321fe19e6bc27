"""Critical findings of the facility's own cases, and the doctor's word that somebody took note.

Opening the page is not taking note. Only the doctor whom the request names, or the one to whom it was handed, can
confirm; everybody else is told why not, and can hand it over.
"""

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console.access import Action, Role, is_allowed
from gateway.console.context import console, needs, person, record, record_shown
from gateway.console.names import ShownName, shown
from gateway.console.search import folded
from gateway.critical import Doctor, Finding, named_doctor
from gateway.decisions import checked_note
from teleread.errors import InvalidInput

blueprint = Blueprint("critical", __name__)


@dataclass(frozen=True)
class FindingRow:
    """A finding, whose it is, and what the one who looks may do with it.

    Parameters
    ----------
    person : ShownName or None
        None while this box does not know, or doubts, whose it is.
    doctor : Doctor or None
        Who has to take note.
    why_not : str
        Key of the reason why the one who looks cannot confirm; empty when they can.
    receivers : tuple of Doctor
        To whom the one who looks can hand it.
    """

    finding: Finding
    person: ShownName | None
    pseudonym: str
    doctor: Doctor | None
    why_not: str
    receivers: tuple[Doctor, ...]


def _doctors() -> tuple[Doctor, ...]:
    return tuple(
        Doctor(row["username"], row["display_name"]) for row in console().accounts.with_role(Role.DOCTOR)
    )


def _row(finding: Finding, doctors: tuple[Doctor, ...]) -> FindingRow:
    entry = console().names.study(finding.notice.study_instance_uid)
    # Two signs for one patient: a finding whose pseudonym is another's is of nobody here.
    agrees = entry is not None and entry.pseudonym == finding.notice.pseudonym
    doctor = named_doctor(finding.notice.responsible_doctor, finding.handed_to, doctors, folded=folded)
    return FindingRow(
        finding=finding,
        person=shown(entry.identity) if entry is not None and agrees else None,
        pseudonym=finding.notice.pseudonym,
        doctor=doctor,
        why_not=_why_not(finding, doctor, is_known=agrees),
        receivers=_receivers(doctor, doctors),
    )


def _receivers(doctor: Doctor | None, doctors: tuple[Doctor, ...]) -> tuple[Doctor, ...]:
    """Return to whom the one who looks can hand a finding: nobody takes it for themselves while somebody else is there."""
    who = person()
    if not is_allowed(Action.HAND_OVER_CRITICAL, who.roles):
        return ()
    is_alone = doctor is None and sum(row["is_active"] for row in console().accounts.people()) == 1
    return tuple(one for one in doctors if one != doctor and (is_alone or one.username != who.username))


def _why_not(finding: Finding, doctor: Doctor | None, *, is_known: bool) -> str:
    """Return why the one who looks cannot confirm, the reason that concerns everybody first."""
    if finding.notice.state != "notified":
        return "critical.why.not_told"
    if not is_known:
        return "critical.why.nobody_here"
    if doctor is None:
        return "critical.why.no_doctor"
    if doctor.username != person().username:
        return "critical.why.other_doctor"
    return "" if is_allowed(Action.ACKNOWLEDGE_CRITICAL, person().roles) else "critical.why.other_doctor"


def _page(
    problem: str = "", status: int = 200, *, concerning: str = "", note: str = ""
) -> ResponseReturnValue:
    here = console()
    doctors = _doctors()
    rows = [_row(one, doctors) for one in here.critical.findings()]
    record_shown("critical", [row.pseudonym for row in rows if row.person])
    page = render_template(
        "critical.html",
        rows=rows,
        problem=problem,
        concerning=concerning,
        note=note,
        figures=here.critical.open(),
    )
    return page, status


@blueprint.get("/critical")
@needs(Action.SEE)
def critical() -> ResponseReturnValue:
    """Show the critical findings, what is to be done first."""
    return _page()


@blueprint.post("/critical/<critical_id>/acknowledge")
@needs(Action.ACKNOWLEDGE_CRITICAL)
def acknowledge(critical_id: str) -> ResponseReturnValue:
    """Keep the doctor's word; it goes to the centre as soon as the line lets it."""
    here, who = console(), person()
    row = _row(here.critical.finding(critical_id), _doctors())
    if row.finding.is_unconfirmed and row.why_not:
        return _page("critical.problem.not_confirmed", 409, concerning=critical_id)
    if request.form.get("read") != "1":
        return _page("critical.problem.read_first", 400, concerning=critical_id)
    record(
        "critical.acknowledge",
        critical=critical_id,
        case=row.finding.notice.case_number,
        pseudonym=row.pseudonym,
    )
    here.critical.acknowledge(
        critical_id,
        handed_to=row.finding.handed_to,
        person=who.display_name,
        account=who.username,
        at=here.now(),
    )
    return redirect(url_for("critical.critical"), code=303)


@blueprint.post("/critical/<critical_id>/hand-over")
@needs(Action.HAND_OVER_CRITICAL)
def hand_over(critical_id: str) -> ResponseReturnValue:
    """Hand a finding to another doctor, with the reason."""
    here, who = console(), person()
    row = _row(here.critical.finding(critical_id), _doctors())
    to, note = request.form.get("to", ""), request.form.get("note", "")
    if to not in {one.username for one in row.receivers}:
        return _page("critical.problem.choose_doctor", 400, concerning=critical_id, note=note)
    try:
        note = checked_note(note)
    except InvalidInput:
        return _page("problem.note_needed", 400, concerning=critical_id, note=note)
    record(
        "critical.hand_over",
        critical=critical_id,
        case=row.finding.notice.case_number,
        to=to,
        note=note,
    )
    here.critical.hand_over(critical_id, to, by=who.display_name, at=here.now())
    return redirect(url_for("critical.critical"), code=303)
