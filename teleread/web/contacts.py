"""Whom to tell at a facility about a critical finding: the facilities, and the ladder of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.contacts import CONTACTS_LIMIT, MAIL_LIMIT, NOBODY, PHONE_LIMIT
from teleread.domain.critical import NAME_LIMIT, Contact
from teleread.errors import InvalidInput, StateChangedMeanwhile
from teleread.services import contacts
from teleread.storage.session import transaction

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("contacts", __name__, url_prefix="/contacts")

_FIELDS = ("position", "name", "department", "phone", "mail")


@blueprint.get("")
def facilities() -> ResponseReturnValue:
    """Show every facility and how many people can be told there."""
    with transaction(centre().engine, writes=False) as session:
        rows = contacts.facilities(session, actor=actor())
    return render_template("contacts.html", rows=rows)


def _page(
    facility_code: str,
    *,
    typed: list[dict[str, str]] | None = None,
    second: str = "",
    notice: str = "",
    problem: InvalidInput | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    with transaction(centre().engine, writes=False) as session:
        found = contacts.ladder(session, facility_code, actor=actor())
    if typed is None:
        typed = [
            {"position": str(number), **{name: getattr(one, name) for name in _FIELDS[1:]}}
            for number, one in enumerate(found.contacts, 1)
        ]
        second = next((str(n) for n, one in enumerate(found.contacts, 1) if one.is_second), "")
    if len(typed) < CONTACTS_LIMIT and (not typed or any(typed[-1][name] for name in _FIELDS[1:])):
        typed = [*typed, {"position": str(len(typed) + 1), **dict.fromkeys(_FIELDS[1:], "")}]
    field, _, row = problem.field.partition("_") if problem else ("", "", "")
    page = render_template(
        "contacts_of_facility.html",
        facility=found,
        rows=typed,
        second=second,
        notice=notice,
        limits={"name": NAME_LIMIT, "department": NAME_LIMIT, "phone": PHONE_LIMIT, "mail": MAIL_LIMIT},
        problem_field=field,
        problem_row=row,
        problem_code=problem.code if problem else "",
        saved="saved" in request.args,
    )
    return page, status


@blueprint.get("/<facility_code>")
def facility(facility_code: str) -> ResponseReturnValue:
    """Show the ladder of a facility as a form, with a line for one more."""
    return _page(facility_code)


def _typed() -> list[dict[str, str]]:
    count = request.form.get("rows", "")
    number = int(count) if count.isascii() and count.isdigit() and len(count) < 3 else 0
    return [
        {name: request.form.get(f"{name}_{row}", "") for name in _FIELDS}
        for row in range(1, min(number, CONTACTS_LIMIT) + 1)
    ]


@blueprint.post("/<facility_code>")
def save(facility_code: str) -> ResponseReturnValue:
    """Replace the ladder; what is refused is named, and nothing that was typed is lost."""
    typed, second = _typed(), request.form.get("second", "")
    # A row that goes stays as an empty one, so that what is refused is named by the row that the person sees.
    rows = [
        (
            row["position"],
            NOBODY
            if request.form.get(f"remove_{number}")
            else Contact(row["name"], row["phone"], row["department"], row["mail"], second == str(number)),
        )
        for number, row in enumerate(typed, 1)
    ]
    try:
        with transaction(centre().engine) as session:
            contacts.replace(
                session,
                facility_code,
                rows,
                request.form.get("was", ""),
                actor=actor(),
                at=clock.now(),
            )
    except InvalidInput as problem:
        return _page(facility_code, typed=typed, second=second, problem=problem, status=400)
    except StateChangedMeanwhile:
        return _page(facility_code, notice="contacts.changed", status=409)
    return redirect(url_for("contacts.facility", facility_code=facility_code, saved=1), 303)
