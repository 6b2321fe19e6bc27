"""Files that wait for a decision."""

from importlib.util import find_spec

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console import flow
from gateway.console.access import Action
from gateway.console.context import console, needs, person, record, record_shown
from gateway.decisions import RELEASABLE
from teleread.errors import InvalidInput, StateChangedMeanwhile

blueprint = Blueprint("held", __name__)

_PICTURE_EDGE = 1200

#: So many pictures stand on the page of a decision, so many can be released by one.
LOOKED_AT_ONCE = 12


@blueprint.get("/held")
@needs(Action.SEE)
def held() -> ResponseReturnValue:
    """Show what is held, alike things together."""
    here = console()
    rows = flow.held_items(here.spool, here.names)
    record_shown("held", [f"item {row.item_id}" for row in rows if row.person])
    return render_template("held.html", rows=rows)


@blueprint.get("/held/<int:item_id>")
@needs(Action.SEE)
def item(item_id: int) -> ResponseReturnValue:
    """Show one held file and the ways to decide."""
    return _page(item_id, problem="", note="")


def _page(item_id: int, *, problem: str, note: str) -> ResponseReturnValue:
    here = console()
    entry = flow.held_item(here.spool, here.names, item_id)
    record_shown("held item", [f"item {item_id}"] if entry.person else [])
    page = render_template(
        "held_item.html",
        entry=entry,
        item_id=item_id,
        problem=problem,
        note=note,
        releasable=entry.reason in RELEASABLE,
        has_picture=_has_picture(entry.reason),
        pictures=entry.alike if len(entry.alike) <= LOOKED_AT_ONCE else (item_id,),
    )
    return page, 400 if problem else 200


def _has_picture(reason: str) -> bool:
    # What is broken or no image has no picture; the codecs are there with the gateway's own extra.
    unreadable = {
        "not_dicom",
        "truncated",
        "unreadable",
        "no_pixel_data",
        "too_deep",
        "too_large",
        "directory",
    }
    return reason not in unreadable and find_spec("numpy") is not None


@blueprint.get("/held/<int:item_id>/picture")
@needs(Action.SEE)
def picture(item_id: int) -> ResponseReturnValue:
    """Return the first frame as it came, for the eyes that decide."""
    here = console()
    row = here.spool.connection.execute(
        "SELECT sha256 FROM item WHERE id = ? AND state = 'held'", (item_id,)
    ).fetchone()
    if row is None:
        raise StateChangedMeanwhile("this item is no longer held")
    record("held.picture", item=item_id)
    png = here.pictures.render(here.spool.received_path(row["sha256"]), 1, size=_PICTURE_EDGE)
    return Response(png, content_type="image/png")


@blueprint.post("/held/<int:item_id>")
@needs(Action.DECIDE_HELD)
def decide(item_id: int) -> ResponseReturnValue:
    """Carry a decision out, for one file or for all that are alike."""
    here = console()
    who = person().username
    note = request.form.get("note", "")
    way = request.form.get("way", "")
    entry = flow.held_item(here.spool, here.names, item_id)
    chosen = entry.alike if request.form.get("all") == "1" else (item_id,)
    if way == "release_as_is" and len(chosen) > LOOKED_AT_ONCE:
        # The page does not show so many pictures, and what nobody has looked at does not leave.
        chosen = (item_id,)
    decided = []
    try:
        for number in chosen:
            if way == "retry":
                here.decisions.retry(number, username=who)
            elif way == "discard":
                here.decisions.discard(number, username=who, note=note)
            elif way == "release_as_is":
                if request.form.get("looked") != "1":
                    return _page(item_id, problem="problem.look_first", note=note)
                here.decisions.release_as_is(number, username=who, note=note)
            else:
                return _page(item_id, problem="problem.choose_way", note=note)
            decided.append(number)
    except InvalidInput as problem:
        key = "problem.note_needed" if problem.code == "note_needed" else "problem.other_reason"
        return _page(item_id, problem=key, note=note)
    finally:
        if decided:
            record("held.decide", way=way, items=decided)
    return redirect(url_for("held.held"), code=303)
