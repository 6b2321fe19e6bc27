"""The gateway's own leak check: the last score, and letting a gateway send again that it stopped."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console.access import Action
from gateway.console.context import console, needs, person, record
from gateway.decisions import checked_note
from gateway.sending import last_checked_at, last_score, release, stop_of
from teleread.errors import InvalidInput, StateChangedMeanwhile

blueprint = Blueprint("leaks", __name__)


def _page(*, problem: str = "", note: str = "", confirming: bool = False) -> ResponseReturnValue:
    here = console()
    page = render_template(
        "leaks.html",
        score=last_score(here.spool),
        checked_at=last_checked_at(here.spool),
        stop=stop_of(here.spool),
        problem=problem,
        note=note,
        confirming=confirming,
    )
    return page, 400 if problem else 200


@blueprint.get("/leaks")
@needs(Action.SEE)
def leaks() -> ResponseReturnValue:
    """Show the last leak check, and whether sending is stopped."""
    return _page()


@blueprint.post("/leaks")
@needs(Action.RELEASE_SENDING)
def let_send() -> ResponseReturnValue:
    """Ask for the reason, then once more whether that is meant; only the second answer lets the gateway send."""
    here = console()
    note = request.form.get("note", "")
    stop = stop_of(here.spool)
    if stop is None or str(stop.stop_id) != request.form.get("stop", ""):
        raise StateChangedMeanwhile("this stop is no longer in force")
    try:
        note = checked_note(note)
    except InvalidInput:
        return _page(problem="problem.note_needed", note=note)
    if request.form.get("confirmed") != "1":
        return _page(note=note, confirming=True)
    # Recorded first: what cannot be recorded does not happen.
    record("sending.release", stop=stop.stop_id, check=stop.check_id, note=note)
    release(here.spool, stop.stop_id, username=person().username, note=note, at=here.now())
    return redirect(url_for("leaks.leaks"), code=303)
