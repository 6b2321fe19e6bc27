"""News for pages: where the stream is, and the same news on request for a browser that has no stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, current_app, g, jsonify, request

from teleread.dicomweb.context import actor, centre
from teleread.errors import InvalidInput, NotAllowed
from teleread.services import live
from teleread.storage.session import transaction
from teleread.web.events import PATH

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("live", __name__)


@blueprint.get("/live/changes")
def changes() -> ResponseReturnValue:
    """Return what changed since a number, within what the person may see; without a number, the newest one."""
    if not live.may_follow(actor()):
        raise NotAllowed("there is no news for this role")
    after = request.args.get("after", "")
    if after and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise InvalidInput("after", "has to be a whole number")
    with transaction(centre().engine, writes=False) as session:
        newest = live.newest(session)
        found = live.changes_after(session, int(after), actor=actor()) if after else []
    told = [change.told() for change in found or ()]
    return jsonify({"newest": newest, "changes": told, "reset": found is None})


@blueprint.app_context_processor
def _places() -> dict[str, str]:
    """Tell the pages of people whom news concern where the stream is."""
    who = g.get("actor")
    if who is None or not live.may_follow(who):
        return {"live_stream": ""}
    return {"live_stream": current_app.config["EVENTS_ADDRESS"]}


def address(events_url: str) -> str:
    """Return where browsers open the stream."""
    return events_url + PATH
