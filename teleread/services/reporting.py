"""Writing a report: drafts with their history, saved on the revision they were made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require
from teleread.domain.reporting import clean_sections
from teleread.errors import NotAllowed, NotFound, StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import audit
from teleread.services.reading import reading_of
from teleread.storage.models.readings import Reading
from teleread.storage.models.reports import DraftRevision, ReportVersion


@dataclass(frozen=True)
class DraftView:
    """A text under work, or a saved state of it. `sections` has every section, empty ones too."""

    revision: int
    sections: dict[str, str]
    saved_at: datetime
    author: str = ""


def draft_of(session: Session, reading: Reading) -> ReportVersion:
    """Return the draft of a reading, or raise NotFound."""
    draft = session.scalar(
        select(ReportVersion).where(ReportVersion.reading_id == reading.id, ReportVersion.status == "draft")
    )
    if draft is None:
        raise NotFound("this case has no draft", code="no_draft")
    return draft


def require_holder(reading: Reading, actor: Actor) -> None:
    """Raise unless the actor holds the reading and has it open."""
    require(actor, Action.WRITE_REPORT)
    if reading.state == "completed":
        raise TransitionNotAllowed("this report is signed", code="already_signed")
    if reading.assignee_id != actor.user_id or actor.user_id is None:
        raise NotAllowed("another reader has this case, or nobody", code="not_assignee")
    if reading.state != "in_progress":
        raise TransitionNotAllowed("this case is not open")


def draft(session: Session, case_number: str, *, actor: Actor) -> DraftView:
    """Return the newest state of the draft; only the reader who holds the case sees it."""
    reading = reading_of(session, case_number, actor=actor)
    require_holder(reading, actor)
    found = draft_of(session, reading)
    return DraftView(found.revision, clean_sections(found.sections), found.updated_at)


def draft_history(session: Session, case_number: str, *, actor: Actor) -> list[DraftView]:
    """Return every saved state of the draft, the oldest first."""
    reading = reading_of(session, case_number, actor=actor)
    require_holder(reading, actor)
    found = draft_of(session, reading)
    saved = session.scalars(
        select(DraftRevision)
        .where(DraftRevision.report_version_id == found.id)
        .order_by(DraftRevision.revision)
    )
    return [
        DraftView(one.revision, clean_sections(one.sections), one.saved_at, one.author.display_name)
        for one in saved
    ]


def save_draft(
    session: Session,
    case_number: str,
    sections: Mapping[str, object],
    base_revision: int,
    *,
    actor: Actor,
    at: datetime,
) -> int:
    """Save the whole text and return its revision.

    Saving what is stored already answers the stored revision: a browser that did not get the answer asks again.

    Raises
    ------
    StateChangedMeanwhile
        The text was saved elsewhere since `base_revision`; `newest` is the `DraftView` that is stored.
    """
    cleaned = clean_sections(sections)
    reading = reading_of(session, case_number, actor=actor)
    require_holder(reading, actor)
    assert actor.user_id is not None  # noqa: S101 - require_holder has seen to it; this is for the type checker
    found = draft_of(session, reading)
    if clean_sections(found.sections) == cleaned:
        return found.revision
    saved = cast(
        "CursorResult[Any]",
        session.execute(
            update(ReportVersion)
            .where(
                ReportVersion.id == found.id,
                ReportVersion.status == "draft",
                ReportVersion.revision == base_revision,
            )
            .values(revision=base_revision + 1, sections=cleaned, updated_at=at)
            .execution_options(synchronize_session=False)
        ),
    )
    if saved.rowcount != 1:
        session.refresh(found)
        raise StateChangedMeanwhile(
            "this report was changed elsewhere; compare before saving",
            code="stale_draft",
            newest=DraftView(found.revision, clean_sections(found.sections), found.updated_at),
        )
    session.add(
        DraftRevision(
            report_version_id=found.id,
            revision=base_revision + 1,
            sections=cleaned,
            author_id=actor.user_id,
            saved_at=at,
        )
    )
    audit.record(
        session,
        actor=actor,
        at=at,
        act="report.save_draft",
        case_number=reading.case_number,
        detail={"revision": base_revision + 1},
    )
    return base_revision + 1
