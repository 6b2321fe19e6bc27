"""Critical findings: the form of a case, and the doctor's word on the facility's page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain import critical as rules
from teleread.errors import InvalidInput, StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import critical, reading
from teleread.storage.session import transaction
from teleread.web.views.cases import case_number_of, case_row
from teleread.web.views.critical import COLOURS, finding_row
from teleread.web.views.layout import language
from teleread.web.views.times import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

blueprint = Blueprint("critical", __name__)

#: What the form says about a refusal, by its code; anything else names the field.
_REFUSALS = {
    "not_read_back": "critical.refused.read_back",
    "impossible_time": "critical.refused.time",
    "too_long": "critical.refused.too_long",
}


def _page(
    typed: str, notice: str | None = None, status: int = 200, *, concerning: str = ""
) -> ResponseReturnValue:
    case_number, at = case_number_of(typed), clock.now()
    with transaction(centre().engine) as session:
        found = reading.case_view(session, case_number, actor=actor(), at=at)
        findings = critical.of_case(session, case_number, actor=actor(), at=at)
    page = render_template(
        "critical.html",
        case=case_row(found.row, language=language(), at=at),
        findings=[finding_row(one, language=language(), at=at) for one in findings],
        categories=[(one.value, COLOURS[one], f"critical.within.{one.value}") for one in rules.Category],
        methods=list(rules.Method),
        read_back=rules.READ_BACK,
        text_limit=rules.TEXT_LIMIT,
        typed=request.form,
        concerning=concerning,
        at=at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M"),
        notice=notice,
    )
    return page, status


@blueprint.get("/cases/<case_number>/critical")
def page(case_number: str) -> ResponseReturnValue:
    """Show the critical findings of a case, and the forms for what comes next."""
    return _page(case_number)


def _done(case_number: str, act: Callable[[Session], object], concerning: str = "") -> ResponseReturnValue:
    """Do what a form asks and go back to the page; what was typed stays where it is refused."""
    try:
        with transaction(centre().engine) as session:
            act(session)
    except InvalidInput as error:
        notice = _REFUSALS.get(error.code, "critical.refused.field")
        return _page(case_number, notice, 400, concerning=concerning)
    except (StateChangedMeanwhile, TransitionNotAllowed):
        return _page(case_number, "case.changed", 409)
    return redirect(url_for("critical.page", case_number=case_number_of(case_number)), 303)


@blueprint.post("/cases/<case_number>/critical")
def raise_finding(case_number: str) -> ResponseReturnValue:
    """Raise a critical finding."""
    form = request.form
    return _done(
        case_number,
        lambda session: critical.raise_finding(
            session,
            case_number_of(case_number),
            form.get("category", ""),
            form.get("text", ""),
            actor=actor(),
            at=clock.now(),
        ),
    )


def _told() -> rules.Told:
    form = request.form
    try:
        at = datetime.fromisoformat(form.get("at", ""))
    except ValueError:
        raise InvalidInput("at", "is not a time", code="impossible_time") from None
    return rules.Told(
        person=form.get("person", ""),
        method=rules.method_of(form.get("method", "")),
        at=at.replace(tzinfo=ZONE) if at.tzinfo is None else at,
        heard=frozenset(one for one in rules.READ_BACK if form.get(one) == "heard"),
    )


@blueprint.post("/cases/<case_number>/critical/<critical_id>/attempt")
def attempt(case_number: str, critical_id: str) -> ResponseReturnValue:
    """Note a call: told with read-back, or no answer."""
    record = critical.record_no_answer if request.form.get("outcome") == "no_answer" else critical.record_told
    return _done(
        case_number,
        lambda session: record(session, critical_id, _told(), actor=actor(), at=clock.now()),
        critical_id,
    )


@blueprint.post("/cases/<case_number>/critical/<critical_id>/withdraw")
def withdraw(case_number: str, critical_id: str) -> ResponseReturnValue:
    """Take back what was raised in error."""
    reason = request.form.get("reason", "")
    return _done(
        case_number,
        lambda session: critical.withdraw(session, critical_id, reason, actor=actor(), at=clock.now()),
        critical_id,
    )


@blueprint.post("/critical/<critical_id>/close")
def close(critical_id: str) -> ResponseReturnValue:
    """Note what follows from a finding, and go back to where the form was."""
    with transaction(centre().engine) as session:
        critical.close(session, critical_id, request.form.get("outcome", ""), actor=actor(), at=clock.now())
    return redirect(url_for("auth.home"), 303)


@blueprint.post("/critical/<critical_id>/acknowledge")
def acknowledge(critical_id: str) -> ResponseReturnValue:
    """Take note of a finding, as the facility's person who is signed in."""
    with transaction(centre().engine) as session:
        critical.acknowledge(session, critical_id, actor=actor(), at=clock.now())
    return redirect(url_for("facilities.status"), 303)
