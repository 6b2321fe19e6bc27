"""A case as lists and pages show it: what the services tell, put into words, signs and addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import url_for

from teleread.domain.identifiers import check_case_number, format_case_number
from teleread.errors import InvalidInput, NotFound
from teleread.web.i18n import TEXTS, text
from teleread.web.views.marks import PINNED, Mark, priority_mark, state_mark
from teleread.web.views.times import TimeLeft, age_words, moment, sex_words, study_moment, time_left

if TYPE_CHECKING:
    from datetime import datetime

    from teleread.services.reading import WorklistRow


@dataclass(frozen=True)
class Badge:
    """A fact that changes how one reads: colour token, drawing, words."""

    colour: str
    shape: str
    words: str


@dataclass(frozen=True)
class CaseRow:
    """One case, ready to be shown."""

    case_number: str
    spoken: str
    url: str
    left: TimeLeft
    due: str
    priority: Mark
    pinned: bool
    state: Mark
    display_status: str
    who: str
    is_mine: bool
    pseudonym: str
    sex: str
    age: str
    modality: str
    examination: str
    study_moment: str
    facility: str
    question: str
    images: str
    missing: int
    arrived: str
    withheld: int
    withheld_why: tuple[str, ...]
    received: str
    badges: tuple[Badge, ...]


#: Shown states in which no promise runs any more.
_SETTLED = frozenset(
    {"final", "delivered", "acknowledged", "addended", "cancelled", "delivery_held", "delivery_failed"}
)


def case_number_of(typed: str) -> str:
    """Return the case number in an address, however it was typed; a mistyped one is not found."""
    try:
        return check_case_number(typed)
    except InvalidInput as error:
        raise NotFound("there is no such case") from error


def _badges(row: WorklistRow, language: str) -> tuple[Badge, ...]:
    found = []
    if row.study_state in {"receiving", "incomplete"}:
        found.append(Badge("amber", "images", text(language, "badge.incomplete")))
    if row.images_added:
        found.append(Badge("amber", "images", text(language, "badge.late_images")))
    if row.conflicts:
        found.append(Badge("vermilion", "warning", text(language, "badge.conflicts", count=row.conflicts)))
    if row.held:
        found.append(Badge("violet", "withheld", text(language, "badge.withheld", count=row.held)))
    return tuple(found)


def reason_words(code: str, language: str) -> str:
    """Return why a facility holds something back; a reason of a later gateway is said to be another one."""
    key = f"withheld.{code}"
    return text(language, key) if key in TEXTS else text(language, "withheld.other")


def case_row(row: WorklistRow, *, language: str, at: datetime) -> CaseRow:
    """Return the row in words and signs."""
    settled = row.display_status in _SETTLED
    return CaseRow(
        case_number=row.case_number,
        spoken=format_case_number(row.case_number),
        url=url_for("readings.case", case_number=row.case_number),
        left=time_left(None if settled else row.due_at, row.received_at, at=at, language=language),
        due=moment(row.due_at)[-5:],
        priority=priority_mark(row.priority),
        pinned=row.priority in PINNED and not settled,
        state=state_mark(row.display_status),
        display_status=str(row.display_status),
        who=text(language, "me") if row.is_mine else row.assignee_name,
        is_mine=row.is_mine,
        pseudonym=row.pseudonym,
        sex=sex_words(row.sex, language),
        age=age_words(row.age, language),
        modality="/".join(row.modalities),
        examination=" ".join(part for part in ("/".join(row.modalities), row.study_description) if part),
        study_moment=study_moment(row.study_date, row.study_time),
        facility=row.facility_name,
        question=row.clinical_question,
        images=f"{row.images:,}"
        + (f"/{row.expected:,}" if row.expected and row.expected != row.images else ""),
        missing=max((row.expected or 0) - row.images, 0),
        arrived=text(language, "status.arrived", images=f"{row.images:,}", expected=f"{row.expected or 0:,}"),
        withheld=row.held,
        withheld_why=tuple(
            text(language, "status.withheld_why", count=count, reason=reason_words(code, language))
            for code, count in row.held_reasons
        ),
        received=moment(row.received_at),
        badges=_badges(row, language),
    )


def row_json(row: WorklistRow) -> dict[str, Any]:
    """Return a row for programs; the same facts, no words."""
    return {
        "case_number": row.case_number,
        "pseudonym": row.pseudonym,
        "study_instance_uid": row.study_instance_uid,
        "state": row.state,
        "display_status": row.display_status,
        "study_state": row.study_state,
        "priority": row.priority,
        "facility": row.facility_code,
        "facility_name": row.facility_name,
        "modality": "/".join(row.modalities),
        "study_description": row.study_description,
        "images": row.images,
        "expected": row.expected,
        "held": row.held,
        "held_reasons": dict(row.held_reasons),
        "conflicts": row.conflicts,
        "assignee": row.assignee,
        "is_mine": row.is_mine,
        "due_at": row.due_at.isoformat() if row.due_at else None,
        "received_at": row.received_at.isoformat(),
    }
