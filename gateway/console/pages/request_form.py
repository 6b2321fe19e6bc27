"""The request to read: a wall down the page between what stays and what travels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console import flow, request_form
from gateway.console.access import Action
from gateway.console.context import console, needs, person, record, record_shown
from gateway.console.names import shown
from gateway.console.request_form import CheckedForm
from gateway.console.scrub import pieces_of
from gateway.orders import new_order_id
from gateway.vault import VaultStudy
from teleread.domain.identifiers import CROCKFORD, accession_pseudonym, pseudonym_for
from teleread.domain.turnaround import due_at
from teleread.errors import NotFound

blueprint = Blueprint("request", __name__)

_FOUND = 8
_RECENT = 10


@dataclass(frozen=True)
class Counterpart:
    """What the vault knows of the patient of a form."""

    pseudonym: str
    accession: str
    study_instance_uid: str
    disagrees: str


def _counterpart(form: CheckedForm, study_uid: str) -> Counterpart:
    here = console()
    values = form.values
    own = here.names.study(study_uid)
    known = own or here.names.patient(values["patient_id"])
    disagrees = _disagreement(form, own, known)
    issuer = known.identity.issuer_of_patient_id if known else ""
    accession_issuer = known.identity.issuer_of_accession_number if known else ""
    key = here.keys.pseudonym
    return Counterpart(
        pseudonym=known.pseudonym if known else pseudonym_for(issuer, values["patient_id"], key),
        accession=(
            accession_pseudonym(accession_issuer, values["accession"], key) if values["accession"] else ""
        ),
        study_instance_uid=own.centre_study_uid if own else "",
        disagrees=disagrees,
    )


def _disagreement(form: CheckedForm, own: VaultStudy | None, known: VaultStudy | None) -> str:
    """Return the field in which the form is of another patient than the vault says, empty when none."""
    if own is not None and own.identity.patient_id != form.values["patient_id"]:
        return "patient_id"
    if known is not None:
        told = {"birth_date": form.birth_date, "sex": form.values["sex"]}
        kept = {"birth_date": known.identity.birth_date, "sex": known.identity.sex}
        for name, value in told.items():
            if kept[name] and value and kept[name] != value:
                return name
    return ""


def _page(
    order_id: str,
    form: CheckedForm,
    *,
    study_uid: str = "",
    disagrees: str = "",
    found: list[VaultStudy] | None = None,
    query: str = "",
    tried: bool = False,
    status: int = 200,
) -> ResponseReturnValue:
    here = console()
    pieces = {name: pieces_of(form.values[name], marks) for name, marks in form.marks.items()}
    now = here.now()
    page = render_template(
        "request.html",
        order_id=order_id,
        values=form.values,
        problems=form.problems if tried else {},
        missing=[name for name, problem in form.problems.items() if problem == "problem.missing"],
        pieces=pieces,
        study_uid=study_uid,
        disagrees=disagrees,
        found=[(entry, shown(entry.identity)) for entry in found or ()],
        query=query,
        tried=tried,
        choices=request_form.CHOICES,
        limits=request_form.LIMITS,
        required=request_form.REQUIRED,
        promises={priority: due_at(priority, now) for priority in request_form.CHOICES["priority"]},
        recent=_recent() if not tried and not found else [],
    )
    return page, status


def _recent() -> list[tuple[object, Mapping[str, str]]]:
    here = console()
    return [(row, here.orders.form(row["order_id"])) for row in here.orders.recent(_RECENT)]


def _checked(values: Mapping[str, str]) -> CheckedForm:
    here = console()
    known = here.names.patient(values["patient_id"])
    return request_form.check(
        values,
        today=here.now().astimezone(flow.WALL).date(),
        known=(known.identity,) if known is not None else (),
    )


def _order_id() -> str:
    given = request.form.get("order_id", "")
    return given if len(given) == 12 and set(given) <= set(CROCKFORD) else new_order_id()


@blueprint.get("/request")
@needs(Action.REQUEST)
def form() -> ResponseReturnValue:
    """Show an empty form, one for a study, or a draft."""
    here = console()
    values = request_form.values_of({"contrast": "none"})
    order_id, study_uid = new_order_id(), ""
    draft, study = request.args.get("draft", ""), request.args.get("study", "")
    if draft:
        if here.orders.row(draft)["document"] is not None:
            raise NotFound("this request has been sent")
        kept = here.orders.form(draft)
        order_id, study_uid = draft, kept.get("study_uid", "")
        values = request_form.values_of(kept)
        record_shown("request", [f"draft {draft}"])
    elif study.isascii() and study.isdigit():
        row = flow.study_of(here.spool, here.names, int(study))
        entry = here.names.study(row.centre_study_uid)
        if entry is not None:
            study_uid = entry.centre_study_uid
            values = _prefilled(values, entry)
            record_shown("request", [entry.pseudonym])
    record_shown("request list", [f"request {row['order_id']}" for row in here.orders.recent(_RECENT)])
    return _page(order_id, _checked(values), study_uid=study_uid)


def _prefilled(values: dict[str, str], entry: VaultStudy) -> dict[str, str]:
    identity = entry.identity
    who = shown(identity)
    return values | {
        "patient_id": who.patient_id,
        "name": who.name,
        "kana": who.kana,
        "birth_date": who.birth_date,
        "sex": who.sex,
        "accession": identity.accession_number,
        "modality": identity.modality if identity.modality in request_form.MODALITIES else "",
        "study_date": identity.study_date,
    }


@blueprint.post("/request")
@needs(Action.REQUEST)
def send() -> ResponseReturnValue:
    """Look for a patient, keep a draft, or check the form and send it."""
    here = console()
    order_id = _order_id()
    study_uid = request.form.get("study_uid", "")[:64]
    values = request_form.values_of(request.form)
    checked = _checked(values)
    act = request.form.get("act", "send")
    if act != "send":
        return _help(act, order_id, values, checked, study_uid)
    if not checked.may_leave:
        return _page(order_id, checked, study_uid=study_uid, tried=True, status=400)
    other = _counterpart(checked, study_uid)
    if other.disagrees:
        return _page(
            order_id, checked, study_uid=study_uid, disagrees=other.disagrees, tried=True, status=400
        )
    notice = request_form.notice_of(
        checked,
        order_id=order_id,
        pseudonym=other.pseudonym,
        accession=other.accession,
        study_instance_uid=other.study_instance_uid,
        requested_at=here.now(),
    )
    record("order.send", order=order_id, pseudonym=other.pseudonym)
    here.orders.send(notice, person().username, dict(values), at=here.now())
    return redirect(url_for("request.sent", order_id=order_id), code=303)


def _help(
    act: str, order_id: str, values: dict[str, str], checked: CheckedForm, study_uid: str
) -> ResponseReturnValue:
    """Do what a button inside the form asks for; nothing leaves."""
    here = console()
    if act == "find":
        return _find(order_id, checked, study_uid)
    if act.startswith("take:"):
        entry = here.names.study(act.removeprefix("take:"))
        if entry is None:
            raise NotFound("there is no such patient")
        record_shown("request", [entry.pseudonym])
        return _page(order_id, _checked(_prefilled(values, entry)), study_uid=entry.centre_study_uid)
    if act.startswith("replace:"):
        values = _without_names(values, checked, act.removeprefix("replace:"))
        return _page(order_id, _checked(values), study_uid=study_uid, tried=True)
    here.orders.save_draft(order_id, person().username, values | {"study_uid": study_uid}, at=here.now())
    return redirect(url_for("request.form", draft=order_id), code=303)


def _find(order_id: str, checked: CheckedForm, study_uid: str) -> ResponseReturnValue:
    query = request.form.get("find", "")[:64]
    found = console().names.patients(query, _FOUND)
    record_shown("request search", [entry.pseudonym for entry in found])
    return _page(order_id, checked, study_uid=study_uid, found=found, query=query)


def _without_names(values: dict[str, str], checked: CheckedForm, field: str) -> dict[str, str]:
    marks = checked.marks.get(field, ())
    text = values.get(field, "")
    return values | {field: "".join("患者" if marked else piece for piece, marked in pieces_of(text, marks))}


@blueprint.post("/request/draft")
@needs(Action.REQUEST)
def autosave() -> ResponseReturnValue:
    """Keep a draft while somebody types."""
    here = console()
    values = request_form.values_of(request.form)
    order_id = _order_id()
    study_uid = request.form.get("study_uid", "")[:64]
    here.orders.save_draft(order_id, person().username, values | {"study_uid": study_uid}, at=here.now())
    return jsonify({"order_id": order_id, "saved_at": here.now().astimezone(flow.WALL).strftime("%H:%M:%S")})


@blueprint.post("/request/<order_id>/discard")
@needs(Action.REQUEST)
def discard(order_id: str) -> ResponseReturnValue:
    """Give a draft up."""
    record("order.discard_draft", order=order_id)
    console().orders.discard_draft(order_id)
    return redirect(url_for("request.form"), code=303)


@blueprint.get("/request/<order_id>")
@needs(Action.REQUEST)
def sent(order_id: str) -> ResponseReturnValue:
    """Show a request that was sent: what left, and what the centre said."""
    here = console()
    row = here.orders.row(order_id)
    if row["document"] is None:
        return redirect(url_for("request.form", draft=order_id), code=303)
    record_shown("request sent", [f"request {order_id}"])
    return render_template(
        "request_sent.html",
        row=row,
        values=here.orders.form(order_id),
        document=json.loads(row["document"]),
        fields=request_form.TRAVELS,
    )
