"""Where devices print names, as the facility has decided: rules, the text reader, and what is done unseen."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway import pixel_rules
from gateway.console.access import Action
from gateway.console.context import console, needs, person, record
from teleread.dicom.deid import ocr
from teleread.dicom.deid.device_rules import (
    DeviceRule,
    Reading,
    RuleAction,
    Unconfirmed,
    checked_rule,
    published_rules,
)
from teleread.dicom.deid.regions import parse_regions
from teleread.errors import InvalidInput, NotFound

blueprint = Blueprint("rules", __name__)


def _page(problem: str = "", field: str = "", trial: pixel_rules.Trial | None = None) -> ResponseReturnValue:
    here = console()
    page = render_template(
        "rules.html",
        rows=pixel_rules.standing_rules(here.spool),
        policy=pixel_rules.policy_of(here.spool),
        published=len(published_rules()),
        reader=ocr.languages(),
        form=request.form,
        problem=problem,
        field=field,
        trial=trial,
    )
    return page, 400 if problem else 200


@blueprint.get("/rules")
@needs(Action.MANAGE_RULES)
def rules() -> ResponseReturnValue:
    """Show the rules in force."""
    return _page()


def _asked() -> DeviceRule:
    def text(name: str) -> str:
        return request.form.get(name, "").strip()

    try:
        action = RuleAction(text("action") or RuleAction.MASK)
    except ValueError:
        raise InvalidInput("action", "choose what to do") from None
    return checked_rule(
        DeviceRule(
            name=text("name"),
            modality=text("modality").upper(),
            manufacturer=pixel_rules.words(text("manufacturer")),
            model=pixel_rules.words(text("model")),
            software=pixel_rules.words(text("software")),
            image_type=pixel_rules.words(text("image_type")),
            rows=pixel_rules.numbers(text("rows"), "rows"),
            columns=pixel_rules.numbers(text("columns"), "columns"),
            action=action,
            regions=parse_regions(text("regions")),
            outside_scan=text("outside_scan") == "1",
        )
    )


@blueprint.post("/rules")
@needs(Action.MANAGE_RULES)
def add() -> ResponseReturnValue:
    """Try a rule on what was received, and put it in force when asked to and it is for something here."""
    here = console()
    try:
        rule = _asked()
    except InvalidInput as problem:
        return _page("problem.rule", problem.field)
    trial = pixel_rules.try_rule(here.spool, rule)
    if request.form.get("save") != "1":
        return _page(trial=trial)
    if not trial.matching:
        return _page("problem.rule_untried", trial=trial)
    with here.spool.writing() as connection:
        number = pixel_rules.add_rule(connection, rule, username=person().username, at=here.now())
    record("rule.made", rule=number, name=rule.name, boxes=len(rule.regions))
    return redirect(url_for("rules.rules"), code=303)


@blueprint.post("/rules/<int:number>/end")
@needs(Action.MANAGE_RULES)
def end(number: int) -> ResponseReturnValue:
    """Take a rule out of force."""
    here = console()
    with here.spool.writing() as connection:
        pixel_rules.end_rule(connection, number, username=person().username, at=here.now())
    record("rule.ended", rule=number)
    return redirect(url_for("rules.rules"), code=303)


@blueprint.post("/rules/options")
@needs(Action.MANAGE_RULES)
def options() -> ResponseReturnValue:
    """Decide which images are read, and what is done with boxes that nobody has confirmed."""
    here = console()
    try:
        reading = Reading(request.form.get("reading", ""))
        unconfirmed = Unconfirmed(request.form.get("unconfirmed", ""))
    except ValueError:
        raise NotFound("there is no such choice") from None
    with here.spool.writing() as connection:
        pixel_rules.set_options(connection, reading=reading, unconfirmed=unconfirmed)
    record("rule.options", reading=reading.value, unconfirmed=unconfirmed.value)
    return redirect(url_for("rules.rules"), code=303)


@blueprint.get("/rules/picture/<int:item_id>")
@needs(Action.MANAGE_RULES)
def picture(item_id: int) -> ResponseReturnValue:
    """Return the first frame of the file that a rule was tried on."""
    here = console()
    row = here.spool.connection.execute("SELECT sha256 FROM item WHERE id = ?", (item_id,)).fetchone()
    if row is None:
        raise NotFound("there is no such file")
    record("rule.picture", item=item_id)
    png = here.pictures.render(here.spool.received_path(row["sha256"]), 1, size=1200)
    return png, 200, {"Content-Type": "image/png"}
