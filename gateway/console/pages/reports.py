"""Reports with the name: shown, sent again, released."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console import flow
from gateway.console.access import Action
from gateway.console.context import console, needs, person, record, record_shown
from teleread.errors import InvalidInput, NotFound, TransitionNotAllowed

blueprint = Blueprint("reports", __name__)


@blueprint.get("/deliveries")
@needs(Action.SEE)
def deliveries() -> ResponseReturnValue:
    """Show the reports that have not arrived."""
    return _page(problem="")


def _page(*, problem: str) -> ResponseReturnValue:
    here = console()
    rows = []
    for report, uid in flow.held_reports(here.spool):
        known = here.spool.connection.execute(
            "SELECT id FROM study WHERE centre_study_uid = ?", (uid,)
        ).fetchone()
        row = flow.study_of(here.spool, here.names, known["id"]) if known else None
        rows.append((report, row, here.decisions.votes(report.number)))
    record_shown("deliveries", [row.pseudonym for _, row, _ in rows if row and row.person])
    return render_template("deliveries.html", rows=rows, problem=problem)


@blueprint.get("/reports/<package_id>/pdf")
@needs(Action.SEE)
def pdf(package_id: str) -> ResponseReturnValue:
    """Return the report as it was filed, with the name."""
    here = console()
    row = here.spool.connection.execute(
        "SELECT id, centre_study_uid, delivered_pdf_sha256 FROM package WHERE package_id = ?", (package_id,)
    ).fetchone()
    path = here.spool.report_paths(row["id"])[0] if row and row["delivered_pdf_sha256"] else None
    if path is None or not path.exists():
        raise NotFound("there is no such report")
    entry = here.names.study(row["centre_study_uid"])
    record("report.shown", package=package_id, pseudonym=entry.pseudonym if entry else "")
    return Response(
        path.read_bytes(),
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{row["id"]}.pdf"'},
    )


@blueprint.post("/reports/<package_id>/send")
@needs(Action.SEND_REPORT)
def send(package_id: str) -> ResponseReturnValue:
    """Try a waiting or failed delivery now."""
    record("report.send_now", package=package_id)
    console().decisions.send_now(package_id, username=person().username)
    return redirect(url_for("reports.deliveries"), code=303)


@blueprint.post("/reports/<package_id>/release")
@needs(Action.RELEASE_REPORT)
def release(package_id: str) -> ResponseReturnValue:
    """Take one of the two voices that release a held report."""
    note = request.form.get("note", "")
    try:
        released = console().decisions.release(package_id, username=person().username, note=note)
    except InvalidInput as problem:
        if problem.code != "note_needed":
            raise
        return _page(problem="problem.note_needed")
    except TransitionNotAllowed as problem:
        if problem.code != "second_person":
            raise
        return _page(problem="problem.second_person")
    record("report.release", package=package_id, released=released)
    return redirect(url_for("reports.deliveries"), code=303)
