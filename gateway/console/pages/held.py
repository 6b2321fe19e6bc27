"""Files that wait for a decision."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway import pixel_rules
from gateway.console import flow
from gateway.console.access import Action
from gateway.console.context import console, needs, person, record, record_shown
from gateway.decisions import RELEASABLE
from teleread.dicom.deid.device_rules import NO_PROPOSAL, Device, device_of, proposal_for, rule_from
from teleread.dicom.deid.regions import Region, parse_regions
from teleread.errors import InvalidInput, NotFound, StateChangedMeanwhile

blueprint = Blueprint("held", __name__)

_PICTURE_EDGE = 1200

#: So many pictures stand on the page of a decision, so many can be released by one.
LOOKED_AT_ONCE = 12

#: Code of a refusal -> what the page says.
_PROBLEMS = {
    "note_needed": "problem.note_needed",
    "not_maskable": "problem.not_maskable",
    "no_box": "problem.no_box",
    "no_device": "problem.no_device",
    "look_first": "problem.look_first",
    "choose_way": "problem.choose_way",
    "box": "problem.box",
}


@dataclass(frozen=True)
class Picture:
    """What the page needs to draw boxes: device and size, the boxes to begin with, why they are there."""

    device: Device
    boxes: tuple[Region, ...]
    rules: tuple[str, ...]


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
    return _page(item_id)


def _page(item_id: int, problem: InvalidInput | None = None) -> ResponseReturnValue:
    here = console()
    entry = flow.held_item(here.spool, here.names, item_id)
    record_shown("held item", [f"item {item_id}"] if entry.person else [])
    has_picture = _has_picture(entry.reason)
    seen = _picture_of(item_id) if has_picture else Picture(pixel_rules.NO_DEVICE, (), ())
    counts = flow.study_of(here.spool, here.names, entry.study_id).counts if entry.study_id else None
    page = render_template(
        "held_item.html",
        entry=entry,
        item_id=item_id,
        others=[number for number in entry.alike if number != item_id],
        problem=_PROBLEMS.get(problem.code, "problem.other_reason") if problem else "",
        form=request.form,
        frame=_frame(seen.device),
        seen=seen,
        study=counts,
        releasable=entry.reason in RELEASABLE,
        has_picture=has_picture,
        pictures=entry.alike if len(entry.alike) <= LOOKED_AT_ONCE else (item_id,),
    )
    return page, 400 if problem else 200


def _frame(device: Device) -> int:
    number = request.args.get("frame", "1")
    asked = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    return min(max(asked, 1), device.frames)


def _picture_of(item_id: int) -> Picture:
    here = console()
    finding = pixel_rules.finding_of(here.spool, item_id)
    raw = pixel_rules.raw_or_none(_received(item_id))
    proposal = proposal_for(raw) if raw else NO_PROPOSAL
    device = device_of(raw) if raw else finding.device
    return Picture(device, finding.suspects or proposal.regions, proposal.rules)


def _received(item_id: int) -> Path:
    here = console()
    row = here.spool.connection.execute(
        "SELECT sha256 FROM item WHERE id = ? AND state = 'held'", (item_id,)
    ).fetchone()
    if row is None:
        raise StateChangedMeanwhile("this item is no longer held")
    return here.spool.received_path(row["sha256"])


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
    """Return a frame as it came, for the eyes that decide."""
    path = _received(item_id)
    number = request.args.get("frame", "1")
    if not (number.isascii() and number.isdigit() and len(number) < 7):
        raise NotFound("there is no such frame")
    record("held.picture", item=item_id, frame=int(number))
    png = console().pictures.render(path, int(number), size=_PICTURE_EDGE)
    return Response(png, content_type="image/png")


@blueprint.post("/held/<int:item_id>/uncovered")
@needs(Action.SEE)
def uncovered(item_id: int) -> ResponseReturnValue:
    """Write down that somebody looked under the boxes."""
    _received(item_id)
    record("held.uncovered", item=item_id)
    return "", 204


@blueprint.post("/held/<int:item_id>")
@needs(Action.DECIDE_HELD)
def decide(item_id: int) -> ResponseReturnValue:
    """Carry a decision out, for one file or for all that are alike."""
    here = console()
    way = request.form.get("way", "")
    entry = flow.held_item(here.spool, here.names, item_id)
    chosen = entry.alike if request.form.get("all") == "1" else (item_id,)
    if way == "release_as_is" and len(chosen) > LOOKED_AT_ONCE:
        # The page does not show so many pictures, and what nobody has looked at does not leave.
        chosen = (item_id,)
    decided: list[int] = []
    try:
        if way == "release_masked":
            _mask(chosen, decided)
        elif way == "release_as_is":
            _send_as_is(chosen, decided)
        else:
            _decide(way, chosen, decided)
    except InvalidInput as problem:
        return _page(item_id, problem)
    finally:
        if decided:
            record("held.decide", way=way, items=decided)
    return redirect(url_for("held.held"), code=303)


def _decide(way: str, chosen: tuple[int, ...], decided: list[int]) -> None:
    """Carry a decision out; `decided` gets each file as soon as it is done."""
    decisions = console().decisions
    who, note = person().username, request.form.get("note", "")
    for number in chosen:
        if way == "retry":
            decisions.retry(number, username=who)
        elif way == "discard":
            decisions.discard(number, username=who, note=note)
        else:
            raise InvalidInput("way", "choose what to do", code="choose_way")
        decided.append(number)


def _send_as_is(chosen: tuple[int, ...], decided: list[int]) -> None:
    if request.form.get("looked") != "1":
        raise InvalidInput("looked", "look at the image first", code="look_first")
    decisions = console().decisions
    with decisions.child() as child:
        for number in chosen:
            decisions.release_as_is(
                number, username=person().username, note=request.form.get("note", ""), child=child
            )
            decided.append(number)


def _mask(chosen: tuple[int, ...], decided: list[int]) -> None:
    here = console()
    who, note = person().username, request.form.get("note", "")
    try:
        boxes = parse_regions(request.form.get("boxes", ""))
    except InvalidInput as problem:
        raise InvalidInput("boxes", problem.message, code="box") from None
    rule = None
    if request.form.get("remember") == "1" and boxes:
        raw = pixel_rules.raw_or_none(_received(chosen[0]))
        try:
            rule = rule_from(raw, boxes) if raw else None
        except InvalidInput as problem:
            raise InvalidInput("remember", problem.message, code="no_device") from None
    with here.decisions.child() as child:
        for number in chosen:
            here.decisions.release_masked(number, boxes, username=who, note=note, child=child)
            decided.append(number)
    if rule is not None:
        with here.spool.writing() as connection:
            made = pixel_rules.add_rule(connection, rule, username=who, at=here.now())
        record("rule.made", rule=made, name=rule.name, boxes=len(rule.regions))
