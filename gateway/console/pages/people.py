"""Accounts, and the record of what was shown and done."""

import json

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console.access import Action
from gateway.console.accounts import NewUser
from gateway.console.context import console, needs, person
from teleread.errors import InvalidInput

blueprint = Blueprint("people", __name__)

_RECORDS = 200


def _page(made: NewUser | None = None, problem: str = "") -> str:
    rows = [(row, json.loads(row["roles"])) for row in console().accounts.people()]
    return render_template("people.html", rows=rows, made=made, problem=problem)


@blueprint.get("/people")
@needs(Action.MANAGE_USERS)
def people() -> ResponseReturnValue:
    """Show who has an account."""
    return _page()


@blueprint.post("/people")
@needs(Action.MANAGE_USERS)
def add() -> ResponseReturnValue:
    """Make an account; password, secret and codes are on this one answer and nowhere else."""
    here = console()
    try:
        made = here.accounts.add(
            request.form.get("username", "").strip(),
            request.form.get("display_name", ""),
            request.form.getlist("roles"),
            language=request.form.get("language", "ja"),
            by=person().username,
            at=here.now(),
        )
    except InvalidInput as problem:
        return _page(problem=f"problem.{problem.field}"), 400
    return _page(made)


@blueprint.post("/people/<username>/disable")
@needs(Action.MANAGE_USERS)
def disable(username: str) -> ResponseReturnValue:
    """Close an account at once; one's own stays, or nobody might be left."""
    here = console()
    if username == person().username:
        return _page(problem="problem.own_account"), 400
    here.accounts.disable(username, by=person().username, at=here.now())
    return redirect(url_for("people.people"), code=303)


@blueprint.get("/record")
@needs(Action.READ_AUDIT)
def record() -> ResponseReturnValue:
    """Show the newest of the record, and whether all of it is whole."""
    here = console()
    rows = here.store.connection.execute(
        "SELECT * FROM audit ORDER BY sequence DESC LIMIT ?", (_RECORDS,)
    ).fetchall()
    return render_template("record.html", rows=rows, faults=list(here.store.faults()))
