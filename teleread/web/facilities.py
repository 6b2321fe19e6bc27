"""The facility's own status page: its studies, under their pseudonyms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, jsonify, render_template

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.services import critical, reading
from teleread.storage.session import transaction
from teleread.web.errors import wants_json
from teleread.web.views.cases import case_row, row_json
from teleread.web.views.critical import finding_row
from teleread.web.views.layout import language

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("facilities", __name__)


@blueprint.get("/status")
def status() -> ResponseReturnValue:
    """Show where each study is; a facility sees its own, a coordinator all."""
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = reading.status_list(session, actor=actor(), at=at)
        findings = critical.of_facility(session, actor=actor(), at=at)
    if wants_json():
        return jsonify({"rows": [row_json(row) for row in found]})
    rows = [case_row(row, language=language(), at=at) for row in found]
    return render_template(
        "status.html",
        rows=rows,
        findings=[finding_row(one, language=language(), at=at) for one in findings],
    )
