"""The list of studies, and one study."""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydicom.datadict import dictionary_description

from gateway.conformance import conformance_of
from gateway.console import flow
from gateway.console.access import Action
from gateway.console.context import console, needs, record_shown

blueprint = Blueprint("flow", __name__)

_QUERY_LIMIT = 64


@blueprint.get("/")
@needs(Action.SEE)
def home() -> ResponseReturnValue:
    """Go to the list."""
    return redirect(url_for("flow.studies"), code=303)


@blueprint.get("/studies")
@needs(Action.SEE)
def studies() -> ResponseReturnValue:
    """Show the studies, newest first or by name."""
    here = console()
    return _page(query="", by_name=request.args.get("order") == "name", as_of=flow.version_of(here.spool))


@blueprint.post("/studies")
@needs(Action.SEE)
def search() -> ResponseReturnValue:
    """Show the studies that fit a name or number; by POST, so that no name stands in an address."""
    query = request.form.get("query", "").strip()[:_QUERY_LIMIT]
    if not query:
        return redirect(url_for("flow.studies"), code=303)
    return _page(query=query, by_name=False, as_of=flow.version_of(console().spool))


def _page(*, query: str, by_name: bool, as_of: str) -> ResponseReturnValue:
    here = console()
    rows = flow.list_studies(here.spool, here.names, query=query, by_name=by_name)
    record_shown(
        "search" if query else "studies",
        [row.pseudonym or f"study {row.study_id}" for row in rows if row.person],
    )
    return render_template("studies.html", rows=rows, query=query, by_name=by_name, as_of=as_of)


@blueprint.get("/studies/version")
@needs(Action.SEE)
def version() -> ResponseReturnValue:
    """Say whether there is news; nothing about anybody."""
    return jsonify({"version": flow.version_of(console().spool)})


def _attribute(tag: int) -> str:
    """Return an attribute as the maker of a modality will look for it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)}"


@blueprint.get("/studies/<int:study_id>")
@needs(Action.SEE)
def study(study_id: int) -> ResponseReturnValue:
    """Show one study: where it is, its report, what happened."""
    here = console()
    row = flow.study_of(here.spool, here.names, study_id)
    record_shown("study", [row.pseudonym or f"study {row.study_id}"] if row.person else [])
    return render_template(
        "study.html",
        row=row,
        conformance=conformance_of(here.spool, study_id),
        attribute=_attribute,
        happenings=flow.happenings_of(here.spool, study_id, row.reports),
        routes={report.number: flow.routes_of(here.spool, report) for report in row.reports},
        votes={report.number: here.decisions.votes(report.number) for report in row.reports},
    )
