"""Images of a case: which studies its viewer may show, and whether it showed them when the report was signed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require
from teleread.domain.viewing import Doubt, Shown, doubts
from teleread.errors import Incomplete, NotFound, TransitionNotAllowed
from teleread.services import audit
from teleread.services.reading import reading_of
from teleread.storage.models.studies import Instance
from teleread.storage.queries.images import HIDDEN_STATES


@dataclass(frozen=True)
class CaseImages:
    """What the viewer of one case may ask for.

    Parameters
    ----------
    studies : tuple of str
        Study Instance UIDs, the case's own first.
    frames : int
        Frames of the case's own study, as the centre holds them.
    """

    case_number: str
    facility_id: int
    study_instance_uid: str
    studies: tuple[str, ...]
    frames: int


def case_images(session: Session, case_number: str, *, actor: Actor) -> CaseImages:
    """Return the studies of a case.

    Raises
    ------
    NotFound
        No such case, not this tenant's, or its images are hidden.
    """
    require(actor, Action.SEE_IMAGES)
    reading = reading_of(session, case_number, actor=actor)
    if reading.study.state in HIDDEN_STATES:
        raise NotFound("there is no such case")
    frames = session.scalar(
        select(func.coalesce(func.sum(Instance.number_of_frames), 0)).where(
            Instance.study_id == reading.study_id, Instance.is_current, Instance.has_pixels
        )
    )
    own = reading.study.study_instance_uid
    return CaseImages(reading.case_number, reading.facility_id, own, (own,), int(frames or 0))


def record_opening(session: Session, found: CaseImages, *, actor: Actor, at: datetime) -> None:
    """Have it recorded that the images of a case were opened."""
    audit.record(
        session,
        actor=actor,
        at=at,
        act="images.open",
        case_number=found.case_number,
        facility_id=found.facility_id,
        detail={"studies": list(found.studies)},
    )


def check_shown(
    session: Session, case_number: str, shown: Shown, *, confirmed: bool, actor: Actor, at: datetime
) -> tuple[Doubt, ...]:
    """Compare what the viewer shows with the case whose report is to be signed, and have it recorded.

    Call it in the transaction that asks for the review or takes the signature: a refusal leaves no trace of either.

    Parameters
    ----------
    confirmed : bool
        The reader was told what is in doubt and goes on all the same. It never covers another study.

    Returns
    -------
    tuple of Doubt
        What was confirmed; empty when nothing was in doubt.

    Raises
    ------
    TransitionNotAllowed
        Images of another study were shown; the code is ``other_study_shown``.
    Incomplete
        Something is in doubt and not confirmed; the code is the first doubt.
    """
    found = case_images(session, case_number, actor=actor)
    open_doubts = doubts(shown, study_instance_uid=found.study_instance_uid, allowed=found.studies)
    if Doubt.OTHER_STUDY_SHOWN in open_doubts:
        raise TransitionNotAllowed(
            "the viewer showed images of another study", code=Doubt.OTHER_STUDY_SHOWN.value
        )
    if open_doubts and not confirmed:
        raise Incomplete("what the viewer showed is in doubt", code=open_doubts[0].value)
    audit.record(
        session,
        actor=actor,
        at=at,
        act="images.shown",
        case_number=found.case_number,
        facility_id=found.facility_id,
        detail={
            "answered": shown.answered,
            "studies": sorted(shown.studies),
            "failed": shown.failed,
            "confirmed": [doubt.value for doubt in open_doubts],
        },
    )
    return open_doubts
