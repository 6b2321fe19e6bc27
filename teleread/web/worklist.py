"""The worklist: what the reader may do next, by time left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from flask import Blueprint, jsonify, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.services import reading
from teleread.storage.session import transaction
from teleread.web.errors import wants_json
from teleread.web.i18n import text
from teleread.web.views.cases import CaseRow, case_row, row_json
from teleread.web.views.layout import language

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("worklist", __name__)

_SIGNED = frozenset({"final", "delivered", "acknowledged", "addended", "delivery_held", "delivery_failed"})
_SOON_MINUTES = 60

#: Saved views, by the key that opens them: name → which rows.
VIEWS: dict[str, Callable[[CaseRow], bool]] = {
    "mine": lambda row: row.is_mine and row.display_status not in _SIGNED,
    "pinned": lambda row: row.pinned,
    "soon": lambda row: row.left.minutes is not None and row.left.minutes <= _SOON_MINUTES,
    "open": lambda row: row.display_status not in _SIGNED | {"cancelled"},
    "signed": lambda row: row.display_status in _SIGNED,
}
DEFAULT_VIEW = "open"


@dataclass(frozen=True)
class Choice:
    """One entry of the rail."""

    url: str
    words: str
    count: int
    current: bool
    key: str = ""


@dataclass(frozen=True)
class FilterGroup:
    """A headed part of the rail."""

    text_key: str
    choices: list[Choice]


@dataclass(frozen=True)
class RowGroup:
    """A headed part of the list."""

    text_key: str
    rows: list[CaseRow]


def _rail(rows: list[CaseRow], view: str, modality: str, facility: str) -> list[FilterGroup]:
    spoken = language()
    views = [
        Choice(
            url_for("worklist.worklist", view=name),
            text(spoken, f"worklist.view.{name}"),
            sum(1 for row in rows if belongs(row)),
            name == view,
            key=str(number),
        )
        for number, (name, belongs) in enumerate(VIEWS.items(), 1)
    ]
    shown = [row for row in rows if VIEWS[view](row)]
    modalities = Counter(row.examination.split(" ")[0] for row in shown if row.examination)
    facilities = Counter(row.facility for row in shown)
    groups = [FilterGroup("worklist.views", views)]
    base = url_for("worklist.worklist", view=view)
    for key, name, counted, chosen in (
        ("worklist.modality", "modality", modalities, modality),
        ("worklist.facility", "facility", facilities, facility),
    ):
        # A chosen value is taken away again by the same entry.
        choices = [
            Choice(
                base if value == chosen else f"{base}&{urlencode({name: value})}",
                value,
                count,
                value == chosen,
            )
            for value, count in sorted(counted.items())
        ]
        if choices:
            groups.append(FilterGroup(key, choices))
    return groups


@blueprint.get("/worklist")
def worklist() -> ResponseReturnValue:
    """Show the list; the address holds the filter."""
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = reading.worklist(session, actor=actor(), at=at)
        if not wants_json():
            found += reading.worklist(session, actor=actor(), at=at, show="done")
    if wants_json():
        return jsonify({"rows": [row_json(row) for row in found]})
    rows = [case_row(row, language=language(), at=at) for row in found]
    view = request.args.get("view", DEFAULT_VIEW)
    view = view if view in VIEWS else DEFAULT_VIEW
    modality, facility = request.args.get("modality", ""), request.args.get("facility", "")
    shown = [
        row
        for row in rows
        if VIEWS[view](row)
        and (not modality or row.examination.split(" ")[0] == modality)
        and (not facility or row.facility == facility)
    ]
    groups = [
        RowGroup("worklist.group.pinned", [row for row in shown if row.pinned]),
        RowGroup("worklist.group.due", [row for row in shown if not row.pinned]),
    ]
    return render_template(
        "worklist.html",
        filters=_rail(rows, view, modality, facility),
        groups=[group for group in groups if group.rows],
        total=len(rows),
        reads=allows(actor(), Action.CLAIM),
    )
