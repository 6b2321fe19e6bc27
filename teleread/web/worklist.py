"""The worklist: what the reader may do next, by time left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from flask import Blueprint, jsonify, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.services import live, reading, saved_views
from teleread.storage.session import transaction
from teleread.web.errors import wants_json
from teleread.web.i18n import text
from teleread.web.views.cases import CaseRow, case_row, row_json
from teleread.web.views.filters import FACETS, VIEWS, Filter
from teleread.web.views.layout import language
from teleread.web.views.marks import PRIORITIES, STATES
from teleread.web.views.times import ZONE, clock_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from teleread.storage.models.views import SavedView

blueprint = Blueprint("worklist", __name__)


@dataclass(frozen=True)
class Choice:
    """One entry of the rail."""

    url: str
    words: str
    count: int
    current: bool
    key: str = ""
    own: int | None = None


@dataclass(frozen=True)
class FilterGroup:
    """A headed part of the rail."""

    text_key: str
    choices: list[Choice]


@dataclass(frozen=True)
class Chip:
    """One chosen value, with the address that takes it away."""

    url: str
    words: str


@dataclass(frozen=True)
class RowGroup:
    """A headed part of the list."""

    text_key: str
    rows: list[CaseRow]


def _url(chosen: Filter) -> str:
    return f"{url_for('worklist.worklist')}?{chosen.query()}"


def _words(facet: str, value: str) -> str:
    """Return a value of a facet in words; an unknown one as it stands in the address."""
    if facet == "state" and value in STATES:
        return text(language(), STATES[value].text_key)
    if facet == "priority" and value in PRIORITIES:
        return text(language(), PRIORITIES[value].text_key)
    return value


def _rail(rows: list[CaseRow], chosen: Filter, own: Sequence[SavedView]) -> list[FilterGroup]:
    views: list[tuple[Filter, str, int | None]] = []
    for name in VIEWS:
        view = Filter(name, {})
        words = text(language(), f"worklist.view.{name}")
        views.append((view, words, None))
    views += [(Filter.read(parse_qs(kept.query)), kept.name, kept.id) for kept in own]
    entries = [
        Choice(
            _url(view),
            words,
            sum(1 for row in rows if view.lets(row)),
            view.query() == chosen.query(),
            key=str(number),
            own=own_id,
        )
        for number, (view, words, own_id) in enumerate(views, 1)
    ]
    groups = [FilterGroup("worklist.views", entries)]
    for facet in FACETS:
        choices = [
            Choice(
                _url(chosen.toggled(facet, value)),
                _words(facet, value),
                count,
                value in chosen.chosen.get(facet, ()),
            )
            for value, count in chosen.counts(rows, facet).items()
        ]
        if choices:
            groups.append(FilterGroup(f"worklist.{facet}", choices))
    return groups


def _chips(chosen: Filter) -> list[Chip]:
    chips = [
        Chip(
            _url(chosen.toggled(facet, value)),
            f"{text(language(), f'worklist.{facet}')}: {_words(facet, value)}",
        )
        for facet in FACETS
        for value in chosen.chosen.get(facet, ())
    ]
    if chosen.words:
        chips.append(Chip(_url(chosen.without_words()), f"“{chosen.words}”"))
    return chips


def _next(rows: list[CaseRow]) -> CaseRow | None:
    """Return the case that is offered: one's own first, else the first that nobody has."""
    mine = [row for row in rows if row.is_mine and row.display_status in {"assigned", "reading"}]
    free = [row for row in rows if row.display_status == "ready"]
    return next(iter(mine or free), None)


@blueprint.get("/worklist")
def worklist() -> ResponseReturnValue:
    """Show the list; the address holds the filter."""
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        version = live.newest(session)
        found = reading.worklist(session, actor=actor(), at=at)
        own: Sequence[SavedView] = ()
        if not wants_json():
            found += reading.worklist(session, actor=actor(), at=at, show="done")
            own = saved_views.list_views(session, actor=actor())
    if wants_json():
        return jsonify({"rows": [row_json(row) for row in found]})
    rows = [case_row(row, language=language(), at=at) for row in found]
    chosen = Filter.read(request.args.to_dict(flat=False))
    shown = [row for row in rows if chosen.lets(row)]
    groups = [
        RowGroup("worklist.group.pinned", [row for row in shown if row.pinned]),
        RowGroup("worklist.group.due", [row for row in shown if not row.pinned]),
    ]
    is_kept = any(kept.query == chosen.query() for kept in own)
    return render_template(
        "worklist.html",
        filters=_rail(rows, chosen, own),
        chips=_chips(chosen),
        chosen=chosen,
        clear_url=_url(Filter(chosen.view, {})),
        keeps=not chosen.is_plain and not is_kept and len(own) < saved_views.KEPT,
        name_limit=saved_views.NAME_LIMIT,
        offered=_next([row for row in rows if VIEWS["open"](row)]),
        groups=[group for group in groups if group.rows],
        shown=len(shown),
        total=len(rows),
        version=version,
        as_of=clock_time(at),
        zone=ZONE.key,
        reads=allows(actor(), Action.CLAIM),
    )


@blueprint.post("/worklist/views")
def keep_view() -> ResponseReturnValue:
    """Keep the filter of the page under a name; only what a filter can say is kept."""
    chosen = Filter.read(parse_qs(request.form.get("query", "")))
    with transaction(centre().engine) as session:
        saved_views.keep_view(
            session, request.form.get("name", ""), chosen.query(), actor=actor(), at=clock.now()
        )
    return redirect(_url(chosen), 303)


@blueprint.post("/worklist/views/<int:view_id>/drop")
def drop_view(view_id: int) -> ResponseReturnValue:
    """Forget a kept filter."""
    with transaction(centre().engine) as session:
        saved_views.drop_view(session, view_id, actor=actor())
    return redirect(url_for("worklist.worklist"), 303)
