"""The case page: images left, report right; claim and release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.dicomweb.wado import window_of_query
from teleread.domain.access import Action, allows
from teleread.domain.reporting import REQUIRED_SECTIONS, SECTION_LIMIT, SECTIONS
from teleread.errors import InvalidInput, NotFound, StateChangedMeanwhile, TransitionNotAllowed
from teleread.rendering import characters
from teleread.services import case_context, reading, reporting
from teleread.storage.queries import images
from teleread.storage.session import transaction
from teleread.web import viewer
from teleread.web.errors import wants_json
from teleread.web.i18n import text, texts
from teleread.web.views.cases import case_number_of, case_row, row_json
from teleread.web.views.layout import language
from teleread.web.views.marks import Mark, priority_mark, state_mark
from teleread.web.views.times import clock_time, date_gap, moment, study_moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from teleread.storage.models.studies import Instance

blueprint = Blueprint("readings", __name__, url_prefix="/cases")


@dataclass(frozen=True)
class Preset:
    """A window by its usual name; empty numbers mean the file's own."""

    text_key: str
    center: str
    width: str


_OWN_WINDOW = Preset("window.default", "", "")
#: Usual windows in Hounsfield units; other modalities have no common scale.
_CT_WINDOWS = (
    _OWN_WINDOW,
    Preset("window.lung", "-600", "1500"),
    Preset("window.mediastinum", "40", "400"),
    Preset("window.bone", "400", "2000"),
    Preset("window.brain", "40", "80"),
)

#: Rows of text that a section shows when it is empty.
_SECTION_ROWS = {"findings": 7, "impression": 4}


#: A browser lays out one block of a million characters for half a minute, and blocks of this size as they come up.
_PART = 10_000
#: Nothing of such a study is shown or claimed until somebody has looked into it.
_HELD_STATES = frozenset({"quarantined", "rejected"})
#: A history that is shown without being asked for.
_SHORT = 280


@dataclass(frozen=True)
class SeriesView:
    """A series in the image pane: `frames` are addresses of its pictures, in order."""

    series_instance_uid: str
    name: str
    modality: str
    count: int
    frames: list[str]


@dataclass(frozen=True)
class SectionView:
    """A section of the report."""

    name: str
    text: str
    required: bool
    rows: int
    missing: str = ""


@dataclass(frozen=True)
class SignedView:
    """A signed version of the report, whichever case of the order it was written in."""

    url: str
    version: int
    kind_key: str
    status_key: str
    signer: str
    signed: str
    sections: list[SectionView]


@dataclass(frozen=True)
class Fact:
    """A line of the request: its name and what the facility said."""

    text_key: str
    words: str


@dataclass(frozen=True)
class RequestView:
    """The facility's request; `is_here` is False while only the study speaks."""

    is_here: bool
    question: str
    line: str
    phone: str
    priority: Mark
    facts: list[Fact]
    history: list[str]
    is_short: bool
    history_length: str


@dataclass(frozen=True)
class PriorView:
    """Another study of the same pseudonym, with the text of its newest signed report."""

    case_number: str
    url: str
    date: str
    gap: str
    examination: str
    state: Mark
    signer: str
    signed: str
    status_key: str
    sections: list[SectionView]


@dataclass(frozen=True)
class EditorView:
    """The report editor of the one who holds the case."""

    revision: int
    saved: str
    sections: list[SectionView]
    history: list[dict[str, Any]]
    images_added: bool
    study_incomplete: bool
    limit: int
    texts: dict[str, str]


def _series(case_number: str, instances: Sequence[Instance]) -> list[SeriesView]:
    grouped: dict[str, list[Instance]] = {}
    for instance in instances:
        grouped.setdefault(instance.series.series_instance_uid, []).append(instance)
    shown = []
    for uid, members in grouped.items():
        one = members[0].series
        number = text(language(), "viewer.series_number", number=one.series_number or "—")
        frames = [
            url_for("readings.frame", case_number=case_number, sop_uid=member.sop_instance_uid, number=frame)
            for member in members
            for frame in range(1, member.number_of_frames + 1)
        ]
        name = " ".join(part for part in (number, one.series_description) if part)
        shown.append(SeriesView(uid, name, one.modality, len(frames), frames))
    return shown


def _sections(values: dict[str, str]) -> list[SectionView]:
    return [
        SectionView(name, values.get(name, ""), name in REQUIRED_SECTIONS, _SECTION_ROWS.get(name, 1))
        for name in SECTIONS
    ]


def _request(found: case_context.RequestView) -> RequestView:
    spoken = language()
    contrast = text(spoken, f"request.contrast.{found.contrast}") if found.contrast else ""
    facts = (
        ("request.examination", found.examination),
        ("request.body_part", found.body_part),
        ("request.contrast", contrast),
        ("request.department", found.department),
        ("request.doctor", found.doctor),
        ("request.phone", found.callback_phone),
        ("request.asked", moment(found.requested_at) if found.requested_at else ""),
    )
    return RequestView(
        is_here=found.requested_at is not None,
        question=found.clinical_question,
        line=" · ".join(part for part in (found.department, found.doctor, found.body_part, contrast) if part),
        phone=found.callback_phone,
        priority=priority_mark(found.priority),
        facts=[Fact(key, words or text(spoken, "request.unsaid")) for key, words in facts],
        history=[found.history[at : at + _PART] for at in range(0, len(found.history), _PART)],
        is_short=0 < len(found.history) <= _SHORT,
        history_length=text(spoken, "request.length", count=f"{len(found.history):,}"),
    )


def _priors(found: Sequence[case_context.PriorView], study_date: str) -> list[PriorView]:
    spoken = language()
    return [
        PriorView(
            case_number=one.case_number,
            url=url_for("readings.case", case_number=one.case_number),
            date=study_moment(one.study_date, "") or text(spoken, "priors.undated"),
            gap=date_gap(one.study_date, study_date, spoken),
            examination=" ".join(part for part in ("/".join(one.modalities), one.study_description) if part),
            state=state_mark(one.display_status),
            signer=one.signer,
            signed=moment(one.signed_at) if one.signed_at else "",
            status_key=f"version.{one.version_status}" if one.version_status else "",
            sections=[section for section in _sections(one.sections) if section.text],
        )
        for one in found
    ]


def case_page(typed: str, notice: str | None = None, status: int = 200) -> ResponseReturnValue:
    """Return the page of a case, with a notice above the report where something was refused."""
    case_number = case_number_of(typed)
    here, at, who = centre(), clock.now(), actor()
    sees_images = allows(who, Action.SEE_IMAGES)
    with transaction(here.engine) as session:
        found = reading.case_view(session, case_number, actor=who, at=at)
        pictures = (
            images.instances_of_case(session, case_number, who.facility_id)
            if sees_images and found.row.study_state not in images.HIDDEN_STATES
            else ()
        )
        series = _series(case_number, pictures)
        images_view = viewer.view(session, case_number) if pictures else None
        asked = case_context.request_view(session, case_number, actor=who)
        others = case_context.priors(session, case_number, actor=who, at=at) if not wants_json() else ()
        history = reporting.draft_history(session, case_number, actor=who) if found.may_write else []
    if wants_json():
        return jsonify(row_json(found.row) | {"revision": found.revision}), status
    case = case_row(found.row, language=language(), at=at)
    signed = [
        SignedView(
            url=url_for("reports.signed", case_number=version.case_number),
            version=version.version,
            kind_key=f"kind.{version.kind}",
            status_key=f"version.{version.status}",
            signer=version.signer,
            signed=moment(version.signed_at),
            sections=[one for one in _sections(version.sections) if one.text],
        )
        for version in found.versions
        if version.signed_at is not None
    ]
    page = render_template(
        "case.html",
        case=case,
        asked=_request(asked),
        priors=_priors(others, found.row.study_date),
        viewer=images_view,
        series=series,
        presets=_CT_WINDOWS if "CT" in case.examination.split(" ")[0].split("/") else (_OWN_WINDOW,),
        without_images=_without_images(found, sees_images=sees_images),
        editor=_editor(found, history) if found.may_write else None,
        signed=signed,
        said=_said(found, case.who),
        can_claim=found.may_claim and found.row.study_state not in _HELD_STATES,
        notice=notice,
    )
    return page, status


def _editor(found: reading.CaseView, history: Sequence[reporting.DraftView]) -> EditorView:
    return EditorView(
        revision=found.revision,
        saved=clock_time(found.saved_at) if found.saved_at else "",
        sections=[
            replace(one, missing=" ".join(characters.missing(one.text))) if one.text else one
            for one in _sections(found.sections)
        ],
        history=[
            {
                "revision": old.revision,
                "saved": clock_time(old.saved_at),
                "texts": [(name, value) for name, value in old.sections.items() if value],
            }
            for old in reversed(history)
        ],
        images_added=found.seen_revision != found.study_revision,
        study_incomplete=found.row.study_state != "complete",
        limit=SECTION_LIMIT,
        texts=texts(language(), "save."),
    )


def _said(found: reading.CaseView, holder: str) -> str:
    spoken = language()
    if found.versions:
        return ""
    if found.row.study_state in _HELD_STATES:
        return text(spoken, "case.held")
    if found.may_claim:
        return text(spoken, "case.claim_first")
    if found.row.state == "waiting":
        return text(spoken, "case.waiting")
    if found.row.state == "on_hold":
        return text(spoken, "case.on_hold")
    return text(spoken, "case.taken", name=holder) if holder else ""


def _without_images(found: reading.CaseView, *, sees_images: bool) -> str:
    """Return why the image pane is empty."""
    if not sees_images:
        return text(language(), "viewer.not_for_you")
    if found.row.study_state in _HELD_STATES:
        return text(language(), "viewer.held")
    is_waiting = found.row.state == "waiting" and not found.versions
    return text(language(), "viewer.no_images" if is_waiting else "viewer.images_gone")


@blueprint.get("/<case_number>")
def case(case_number: str) -> ResponseReturnValue:
    """Show a case: to its reader with the editor, to others without."""
    return case_page(case_number)


@blueprint.post("/<case_number>/claim")
def claim(case_number: str) -> ResponseReturnValue:
    """Take a case for oneself; of two readers one wins, the other sees who."""
    try:
        with transaction(centre().engine) as session:
            reading.claim(session, case_number_of(case_number), actor=actor(), at=clock.now())
    except (StateChangedMeanwhile, TransitionNotAllowed):
        if wants_json():
            raise
        return case_page(case_number, "case.changed", 409)
    if wants_json():
        return jsonify({"case_number": case_number_of(case_number), "state": "in_progress"})
    return redirect(url_for("readings.case", case_number=case_number_of(case_number)), 303)


@blueprint.post("/<case_number>/release")
def release(case_number: str) -> ResponseReturnValue:
    """Give a case back; the draft stays."""
    with transaction(centre().engine) as session:
        reading.release(
            session,
            case_number_of(case_number),
            request.form.get("reason", ""),
            actor=actor(),
            at=clock.now(),
        )
    return redirect(url_for("worklist.worklist"), 303)


@blueprint.get("/<case_number>/frames/<sop_uid>/<int:number>")
def frame(case_number: str, sop_uid: str, number: int) -> ResponseReturnValue:
    """Return a frame of the case as PNG, by its own window or by the one asked for."""
    here = centre()
    center, width = window_of_query()
    with transaction(here.engine, writes=False) as session:
        instance = images.instance_of_case(session, case_number_of(case_number), sop_uid, actor().facility_id)
    if not 1 <= number <= instance.number_of_frames:
        raise NotFound("the instance has no such frame")
    here.views.note([instance], actor=actor(), at=clock.now())
    path = here.blobs.path(instance.sha256)
    try:
        picture = here.renderer.render(path, number, center=center, width=width)
    except InvalidInput as error:
        raise NotFound("this frame cannot be shown", code=error.code) from error
    return Response(picture, content_type="image/png")
