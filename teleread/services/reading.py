"""Readings: the worklist, claiming, assigning and giving back, and the view of one case."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from teleread.domain import worklist as rules
from teleread.domain.access import Action, Actor, Role, allows, require, require_tenant
from teleread.domain.identifiers import check_case_number
from teleread.domain.reporting import clean_sections
from teleread.domain.turnaround import due_at, is_breached
from teleread.domain.workflow import Machine, Who
from teleread.errors import InvalidInput, NotFound, StateChangedMeanwhile
from teleread.services import audit, ingest, workflow
from teleread.storage.locks import lock
from teleread.storage.models.accounts import User
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import WorkflowEvent
from teleread.storage.models.reports import Report, ReportVersion
from teleread.storage.models.studies import Instance, Series, Study
from teleread.storage.queries import worklist as queries
from teleread.wire.manifest import StudyStatus

_SYSTEM = frozenset({Who.SYSTEM})


@dataclass(frozen=True)
class WorklistRow:
    """A reading as a list shows it."""

    case_number: str
    pseudonym: str
    study_instance_uid: str
    state: str
    study_state: str
    report_status: str | None
    delivery_state: str | None
    display_status: str
    facility_name: str
    facility_code: str
    modalities: tuple[str, ...]
    images: int
    expected: int | None
    held: int
    conflicts: int
    priority: str
    kind: str
    sex: str
    age: str
    study_date: str
    study_time: str
    study_description: str
    clinical_question: str
    assignee: str | None
    assignee_name: str
    is_mine: bool
    due_at: datetime | None
    is_breached: bool
    images_added: bool
    received_at: datetime
    completed_at: datetime | None
    signed_at: datetime | None


@dataclass(frozen=True)
class SeriesView:
    """A series of a case."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    description: str
    images: int
    has_pixels: bool


@dataclass(frozen=True)
class VersionView:
    """A report version that is not a draft."""

    case_number: str
    version: int
    kind: str
    status: str
    signed_at: datetime | None
    signer: str
    sections: dict[str, str]
    delivery_state: str | None
    pdf_sha256: str | None


@dataclass(frozen=True)
class CaseView:
    """Everything that the page of a case shows, and what its user may do there."""

    row: WorklistRow
    series: tuple[SeriesView, ...]
    held: tuple[dict[str, Any], ...]
    incomplete_note: str
    sections: dict[str, str]
    revision: int
    saved_at: datetime | None
    versions: tuple[VersionView, ...]
    study_revision: int
    seen_revision: int
    is_signed: bool
    may_claim: bool
    may_write: bool
    may_sign: bool
    may_release: bool
    may_assign: bool


def reading_of(session: Session, case_number: str, *, actor: Actor) -> Reading:
    """Return the reading of a case number as people write it.

    Raises
    ------
    NotFound
        No such case, not this tenant's, or a number whose check character does not fit.
    """
    try:
        number = check_case_number(case_number)
    except InvalidInput:
        raise NotFound("there is no such case") from None
    reading = session.scalar(select(Reading).where(Reading.case_number == number))
    if reading is None:
        raise NotFound("there is no such case")
    require_tenant(actor, reading.facility_id, "case")
    return reading


def claim(session: Session, case_number: str, *, actor: Actor, at: datetime) -> str:
    """Take a case for oneself and open it; return its number. Taking one's own case again changes nothing.

    Raises
    ------
    StateChangedMeanwhile
        Another reader has it, or was faster.
    TransitionNotAllowed
        It is not ready to be read, or done.
    """
    require(actor, Action.CLAIM)
    reading = reading_of(session, case_number, actor=actor)
    is_mine = reading.assignee_id == actor.user_id
    if reading.state in {"in_progress", "on_hold"} and is_mine:
        return reading.case_number
    if reading.state in {"assigned", "in_progress", "on_hold"} and not is_mine:
        raise StateChangedMeanwhile("another reader has this case", code="claimed_by_another")
    if not (reading.state == "assigned" and is_mine):
        workflow.apply(session, reading, "assign", actor=actor, at=at, assignee_id=actor.user_id)
    workflow.apply(
        session,
        reading,
        "open",
        actor=actor,
        at=at,
        seen_revision=reading.study.revision,
        images_added=False,
    )
    _draft(session, reading, actor=actor, at=at)
    audit.record(session, actor=actor, at=at, act="reading.claim", case_number=reading.case_number)
    return reading.case_number


def _draft(session: Session, reading: Reading, *, actor: Actor, at: datetime) -> ReportVersion:
    lock(session, f"report {reading.order_id}")
    draft = session.scalar(
        select(ReportVersion).where(ReportVersion.reading_id == reading.id, ReportVersion.status == "draft")
    )
    if draft is not None:
        return draft
    report = session.scalar(select(Report).where(Report.order_id == reading.order_id))
    if report is None:
        report = Report(order_id=reading.order_id, created_at=at)
        session.add(report)
        session.flush()
    newest = session.scalar(
        select(func.max(ReportVersion.version)).where(ReportVersion.report_id == report.id)
    )
    draft = ReportVersion(
        report_id=report.id,
        reading_id=reading.id,
        version=(newest or 0) + 1,
        kind="addendum" if reading.kind == "addendum" else "report",
        revision=0,
        sections=clean_sections({"clinical_question": reading.order.clinical_question}),
        created_at=at,
        updated_at=at,
    )
    workflow.start(session, draft, actor=actor, at=at)
    return draft


def assign(
    session: Session, case_number: str, username: str, *, actor: Actor, at: datetime, reason: str = ""
) -> None:
    """Give a case to a reader; also from one reader to another who has not opened it."""
    require(actor, Action.ASSIGN)
    reading = reading_of(session, case_number, actor=actor)
    user = session.scalar(select(User).where(User.username == username))
    if user is None or not user.is_active or Role.READER not in user.roles:
        raise InvalidInput("username", "is not a reader here")
    workflow.apply(session, reading, "assign", actor=actor, at=at, reason=reason, assignee_id=user.id)
    audit.record(
        session,
        actor=actor,
        at=at,
        act="reading.assign",
        case_number=reading.case_number,
        detail={"reader": username},
    )


def release(session: Session, case_number: str, reason: str, *, actor: Actor, at: datetime) -> None:
    """Give a case back to the list; the draft stays and the next reader finds it."""
    require(actor, Action.RELEASE)
    reading = reading_of(session, case_number, actor=actor)
    if not reason.strip():
        raise InvalidInput("reason", "is needed")
    event = "decline" if reading.state == "assigned" else "release"
    workflow.apply(session, reading, event, actor=actor, at=at, reason=reason.strip(), assignee_id=None)
    audit.record(session, actor=actor, at=at, act=f"reading.{event}", case_number=reading.case_number)


def start_incomplete(session: Session, case_number: str, *, actor: Actor, at: datetime) -> None:
    """Let a case be read before everything has arrived."""
    require(actor, Action.SEE_CASE)
    reading = reading_of(session, case_number, actor=actor)
    images = session.scalar(
        select(func.count(Instance.id)).where(Instance.study_id == reading.study_id, Instance.has_pixels)
    )
    if not images:
        raise InvalidInput("case_number", "nothing readable has arrived of this study")
    workflow.apply(
        session, reading, "start_incomplete", actor=actor, at=at, due_at=due_at(reading.order.priority, at)
    )
    audit.record(session, actor=actor, at=at, act="reading.start_incomplete", case_number=reading.case_number)


#: What a list may be asked to show; the condition sees the actor.
_SHOWN = ("open", "mine", "unassigned", "done", "all")

LIMIT = 500


def worklist(session: Session, *, actor: Actor, at: datetime, show: str = "open") -> list[WorklistRow]:
    """Return the rows of a reader's or coordinator's list, the most pressing first.

    Parameters
    ----------
    show : str
        ``open``, ``mine``, ``unassigned``, ``done`` (the newest first) or ``all``.
    """
    require(actor, Action.SEE_WORKLIST)
    if show not in _SHOWN:
        raise InvalidInput("show", f"has to be of {', '.join(_SHOWN)}")
    conditions: list[ColumnElement[bool]] = []
    if show in {"open", "mine"}:
        conditions.append(Reading.state.not_in(("completed", "cancelled")))
    if show == "mine":
        conditions.append(Reading.assignee_id == actor.user_id)
    if show == "unassigned":
        conditions.append(Reading.state == "unassigned")
    if show == "done":
        conditions.append(Reading.state == "completed")
    # An open case that is not on the list is lost: only what is done is cut off at its old end.
    limit = LIMIT if show in {"done", "all"} else None
    rows = [
        _row(found, actor, at)
        for found in queries.fetch(session, *conditions, facility_id=actor.facility_id, limit=limit)
    ]
    if show == "done":
        return rows
    return sorted(rows, key=lambda row: rules.sort_key(row.priority, row.due_at, row.received_at))


def status_list(session: Session, *, actor: Actor, at: datetime) -> list[WorklistRow]:
    """Return a facility's own cases, the newest first, under their pseudonyms."""
    require(actor, Action.SEE_STATUS)
    return [
        _row(found, actor, at) for found in queries.fetch(session, facility_id=actor.facility_id, limit=LIMIT)
    ]


def study_status(session: Session, study_instance_uid: str, *, actor: Actor, at: datetime) -> StudyStatus:
    """Return what a gateway is told of a study."""
    require(actor, Action.SEE_STATUS)
    study = ingest.study_of(session, study_instance_uid, actor=actor)
    found = queries.fetch(session, Reading.study_id == study.id, facility_id=actor.facility_id, limit=LIMIT)
    first = min(found, key=lambda one: (one[1].first_received_at, one[0].id), default=None)
    if first is None:
        return StudyStatus(state=study.state, display_status="received")
    row = _row(first, actor, at)
    return StudyStatus(
        state=study.state,
        case_number=row.case_number,
        display_status=row.display_status,
        due_at=row.due_at,
        is_assigned=row.assignee is not None,
        pause_reason=_pause_reason(session, study, first[0]),
    )


def _pause_reason(session: Session, study: Study, case: Reading) -> str:
    """Return why nobody reads a case just now, as the person said who stopped it; empty when nothing is stopped."""
    if case.state == "on_hold":
        machine, thing, state = Machine.READING, case.id, case.state
    elif study.state in {"quarantined", "rejected"}:
        machine, thing, state = Machine.STUDY, study.id, study.state
    else:
        return ""
    said = session.scalar(
        select(WorkflowEvent.reason)
        .where(
            WorkflowEvent.machine == machine,
            WorkflowEvent.object_id == thing,
            WorkflowEvent.to_state == state,
            WorkflowEvent.from_state != state,
        )
        .order_by(WorkflowEvent.id.desc())
        .limit(1)
    )
    return (said or "")[:500]


def _held(manifest: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    return tuple(manifest["held"]) if manifest else ()


def _row(found: queries.CaseRow, actor: Actor, at: datetime) -> WorklistRow:
    reading, study, order, facility, assignee, version, delivery, images, conflicts = found
    signed_at = version.signed_at if version else None
    return WorklistRow(
        case_number=reading.case_number,
        pseudonym=study.pseudonym,
        study_instance_uid=study.study_instance_uid,
        state=reading.state,
        study_state=study.state,
        report_status=version.status if version else None,
        delivery_state=delivery.state if delivery else None,
        display_status=rules.display_status(
            study.state,
            reading.state,
            version.status if version else None,
            delivery.state if delivery else None,
            version=version.version if version else 1,
        ),
        facility_name=facility.name,
        facility_code=facility.code,
        modalities=tuple(study.modalities),
        images=images,
        expected=len(study.manifest["instances"]) if study.manifest else None,
        conflicts=conflicts,
        held=sum(item["count"] for item in _held(study.manifest)),
        priority=order.priority,
        kind=reading.kind,
        sex=study.sex,
        age=study.age,
        study_date=study.study_date,
        study_time=study.study_time,
        study_description=study.study_description,
        clinical_question=order.clinical_question,
        assignee=assignee.username if assignee else None,
        assignee_name=assignee.display_name if assignee else "",
        is_mine=assignee is not None and assignee.id == actor.user_id,
        due_at=reading.due_at,
        is_breached=is_breached(reading.due_at, at, signed_at),
        images_added=reading.images_added,
        received_at=study.first_received_at,
        completed_at=study.completed_at,
        signed_at=signed_at,
    )


def case_view(session: Session, case_number: str, *, actor: Actor, at: datetime) -> CaseView:
    """Return the view of one case; that it was opened is recorded."""
    require(actor, Action.SEE_CASE)
    reading = reading_of(session, case_number, actor=actor)
    (found,) = queries.fetch(session, Reading.id == reading.id, facility_id=actor.facility_id, limit=1)
    row = _row(found, actor, at)
    audit.record(session, actor=actor, at=at, act="case.open", case_number=reading.case_number)
    draft = session.scalar(
        select(ReportVersion).where(ReportVersion.reading_id == reading.id, ReportVersion.status == "draft")
    )
    is_mine = row.is_mine and reading.state == "in_progress"
    may_write = is_mine and allows(actor, Action.WRITE_REPORT)
    return CaseView(
        row=row,
        series=_series(session, reading.study_id),
        held=_held(reading.study.manifest),
        incomplete_note=reading.study.incomplete_note,
        sections=dict(draft.sections) if draft else clean_sections({}),
        revision=draft.revision if draft else 0,
        saved_at=draft.updated_at if draft and draft.revision else None,
        versions=_versions(session, reading),
        study_revision=reading.study.revision,
        seen_revision=reading.seen_revision,
        is_signed=row.signed_at is not None,
        may_claim=allows(actor, Action.CLAIM)
        and (reading.state == "unassigned" or (reading.state == "assigned" and row.is_mine)),
        may_write=may_write,
        may_sign=may_write and allows(actor, Action.SIGN_REPORT),
        may_release=allows(actor, Action.RELEASE)
        and (is_mine or (actor.has(Role.COORDINATOR) and reading.state in {"in_progress", "on_hold"})),
        may_assign=allows(actor, Action.ASSIGN) and reading.state in {"unassigned", "assigned"},
    )


def _series(session: Session, study_id: int) -> tuple[SeriesView, ...]:
    rows = session.execute(
        select(Series, func.count(Instance.id), func.count(Instance.id).filter(Instance.has_pixels))
        .join(Instance, Instance.series_id == Series.id)
        .where(Series.study_id == study_id, Instance.is_current)
        .group_by(Series.id)
        .order_by(Series.series_number, Series.id)
    ).all()
    return tuple(
        SeriesView(
            series_instance_uid=series.series_instance_uid,
            modality=series.modality,
            series_number=series.series_number,
            description=series.series_description,
            images=images,
            has_pixels=with_pixels > 0,
        )
        for series, images, with_pixels in rows
    )


def _versions(session: Session, reading: Reading) -> tuple[VersionView, ...]:
    versions: Sequence[queries.VersionRow] = queries.versions(session, reading.order_id)
    return tuple(
        VersionView(
            case_number=version.reading.case_number,
            version=version.version,
            kind=version.kind,
            status=version.status,
            signed_at=version.signed_at,
            signer=signer.display_name if signer else "",
            sections=dict(version.sections),
            delivery_state=delivery.state if delivery else None,
            pdf_sha256=version.pdf_sha256,
        )
        for version, signer, delivery in versions
    )
