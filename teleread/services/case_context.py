"""What a reader sees beside the images: the facility's request in full, and what was there before."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from teleread.domain import worklist as rules
from teleread.domain.access import Action, Actor, allows, require
from teleread.services import audit
from teleread.services.reading import reading_of
from teleread.storage.models.readings import Reading
from teleread.storage.models.studies import Study
from teleread.storage.queries import worklist as queries
from teleread.storage.queries.images import HIDDEN_STATES

#: More earlier studies than anybody compares with; the newest are kept.
PRIORS_LIMIT = 50

PRIORS_SHOWN = "priors.show"


@dataclass(frozen=True)
class RequestView:
    """The order in the facility's words; what it did not say is empty.

    `contrast` is ``none``, ``with`` or empty; `requested_at` is None for an order that was made from the study.
    """

    clinical_question: str
    history: str
    priority: str
    department: str
    doctor: str
    callback_phone: str
    examination: str
    body_part: str
    contrast: str
    requested_at: datetime | None


@dataclass(frozen=True)
class PriorView:
    """An earlier or later study of the same pseudonym in the same facility.

    `sections` is the text of its newest signed version; empty for somebody who may not read reports, and while
    nothing is signed.
    """

    case_number: str
    study_date: str
    modalities: tuple[str, ...]
    study_description: str
    display_status: str
    signer: str
    signed_at: datetime | None
    version_status: str
    sections: dict[str, str]


def request_view(session: Session, case_number: str, *, actor: Actor) -> RequestView:
    """Return what the facility asked for.

    Raises
    ------
    NotFound
        No such case, or not this tenant's.
    """
    require(actor, Action.SEE_CASE)
    order = reading_of(session, case_number, actor=actor).order
    return RequestView(
        clinical_question=order.clinical_question,
        history=order.history,
        priority=order.priority,
        department=order.department,
        doctor=order.doctor,
        callback_phone=order.callback_phone,
        examination=order.examination,
        body_part=order.body_part,
        contrast=order.contrast,
        requested_at=order.requested_at,
    )


def priors(session: Session, case_number: str, *, actor: Actor, at: datetime) -> tuple[PriorView, ...]:
    """Return the other studies of the case's pseudonym in its facility, the newest first.

    A pseudonym is one facility's own: the same characters of another facility are another person. That texts were
    shown is recorded.

    Raises
    ------
    NotFound
        No such case, or not this tenant's.
    """
    require(actor, Action.SEE_CASE)
    own = reading_of(session, case_number, actor=actor)
    readings = session.scalars(
        select(Reading)
        .join(Study, Study.id == Reading.study_id)
        .where(
            Study.facility_id == own.facility_id,
            Study.pseudonym == own.study.pseudonym,
            Study.id != own.study_id,
            Study.state.not_in(HIDDEN_STATES),
            Reading.kind != "addendum",
        )
        .order_by(Study.study_date.desc(), Study.study_time.desc(), Reading.id.desc())
        .limit(PRIORS_LIMIT)
    ).all()
    reads = allows(actor, Action.READ_REPORT)
    found = tuple(_prior(session, one, reads=reads) for one in readings)
    told = [one.case_number for one in found if one.sections]
    if told:
        audit.record(
            session,
            actor=actor,
            at=at,
            act=PRIORS_SHOWN,
            case_number=own.case_number,
            facility_id=own.facility_id,
            detail={"cases": told},
        )
    return found


def _prior(session: Session, reading: Reading, *, reads: bool) -> PriorView:
    versions: list[queries.VersionRow] = list(queries.versions(session, reading.order_id))
    signed = next((row for row in versions if row[0].signed_at is not None), None)
    version, signer, delivery = signed if signed is not None else (None, None, None)
    return PriorView(
        case_number=reading.case_number,
        study_date=reading.study.study_date,
        modalities=tuple(reading.study.modalities),
        study_description=reading.study.study_description,
        display_status=rules.display_status(
            reading.study.state,
            reading.state,
            version.status if version else None,
            delivery.state if delivery else None,
            version=version.version if version else 1,
        ),
        signer=signer.display_name if signer else "",
        signed_at=version.signed_at if version else None,
        version_status=version.status if version else "",
        sections=dict(version.sections) if version and reads else {},
    )
