"""Orders that facilities send: kept, matched with their study, and found again when that comes later."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from teleread.domain import orders as rules
from teleread.domain.access import Action, Actor, require
from teleread.domain.identifiers import check_pseudonym
from teleread.domain.orders import Match, OrderFacts, StudyFacts
from teleread.domain.turnaround import Priority, due_at
from teleread.errors import InvalidInput
from teleread.services import audit, workflow
from teleread.storage.locks import lock
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.studies import Study
from teleread.wire.orders import OrderAnswer, OrderNotice

_UNSIGNED = ("waiting", "unassigned", "assigned", "in_progress", "on_hold")


def receive_order(session: Session, notice: OrderNotice, *, actor: Actor, at: datetime) -> OrderAnswer:
    """Take an order of a facility, and match it with its study when that is here.

    The order that was made from the study takes the request's words over; without a study the order waits, open. The
    same message again changes nothing; one with a later `requested_at` replaces what was said before.

    Raises
    ------
    InvalidInput
        The pseudonym or the priority is not one, or the order is known of another patient (code
        ``other_patient``).
    """
    require(actor, Action.SEND_ORDER)
    check_pseudonym(notice.pseudonym)
    if notice.priority not in set(Priority):
        raise InvalidInput("priority", "is not one of this centre's")
    lock(session, f"orders {actor.facility_id}")
    known = session.scalar(
        select(Order).where(Order.facility_id == actor.facility_id, Order.notice_id == notice.order_id)
    )
    if known is not None:
        return _again(session, known, notice, actor=actor, at=at)
    facts = OrderFacts(
        pseudonym=notice.pseudonym,
        accession=notice.accession,
        study_instance_uid=notice.study_instance_uid,
        modality=notice.modality,
        study_date=notice.study_date,
    )
    study, found = _study_for(session, facts, actor)
    if study is not None:
        order = _made_from(session, study)
        if order is not None:
            _take_over(session, order, notice, at=at)
            order.notice_id = notice.order_id
            return _matched(session, order, found, actor=actor, at=at)
    order = Order(
        facility_id=actor.facility_id, notice_id=notice.order_id, made_from_study=False, created_at=at
    )
    _take_over(session, order, notice, at=at)
    order.accession = notice.accession
    workflow.start(session, order, actor=actor, at=at)
    session.flush()
    audit.record(
        session, actor=actor, at=at, act="order.receive", detail={"order": notice.order_id, "matched": False}
    )
    return OrderAnswer(outcome="waiting")


def match_waiting(session: Session, study: Study, *, actor: Actor, at: datetime) -> bool:
    """Look for an order that has waited for this study; return whether one was found.

    To be called when the study's facts are known, as with each of its manifests.
    """
    lock(session, f"orders {study.facility_id}")
    order = _made_from(session, study)
    if order is None:
        return False
    waiting = session.scalars(
        select(Order).where(
            Order.facility_id == study.facility_id,
            Order.pseudonym == study.pseudonym,
            Order.study_id.is_(None),
            Order.state == "open",
        )
    ).all()
    found = {one.id: rules.match(_facts_of(one), _facts(study)) for one in waiting}
    chosen = rules.best(list(found.items()))
    if chosen is None:
        return False
    asked = next(one for one in waiting if one.id == chosen)
    notice_id = asked.notice_id
    _say(order, asked, doctor=asked.doctor)
    # Its words live on in the order of the case; two orders for one study would be read twice.
    session.delete(asked)
    session.flush()
    order.notice_id = notice_id
    order.made_from_study = False
    _matched(session, order, found[chosen], actor=actor, at=at)
    return True


def _again(session: Session, order: Order, notice: OrderNotice, *, actor: Actor, at: datetime) -> OrderAnswer:
    if order.pseudonym != notice.pseudonym:
        raise InvalidInput("pseudonym", "this order is of another patient here", code="other_patient")
    if order.requested_at is None or notice.requested_at > order.requested_at:
        _take_over(session, order, notice, at=at)
        audit.record(session, actor=actor, at=at, act="order.change", detail={"order": notice.order_id})
    if order.study_id is None:
        return OrderAnswer(outcome="waiting")
    return OrderAnswer(outcome="matched", case_number=_case_number(session, order))


def _take_over(session: Session, order: Order, notice: OrderNotice, *, at: datetime) -> None:
    _say(order, notice, doctor=notice.responsible_doctor)
    if order.id is not None:
        _promise_anew(session, order, at=at)


def _say(order: Order, source: OrderNotice | Order, *, doctor: str) -> None:
    order.pseudonym = source.pseudonym
    order.study_instance_uid = source.study_instance_uid
    order.study_date = source.study_date
    order.modality = source.modality
    order.body_part = source.body_part
    order.examination = source.examination
    order.contrast = source.contrast
    order.priority = source.priority
    order.clinical_question = source.clinical_question
    order.history = source.history
    order.department = source.department
    order.doctor = doctor
    order.callback_phone = source.callback_phone
    order.requested_at = source.requested_at


def _promise_anew(session: Session, order: Order, *, at: datetime) -> None:
    for reading in session.scalars(
        select(Reading).where(
            Reading.order_id == order.id, Reading.due_at.is_not(None), Reading.state.in_(_UNSIGNED)
        )
    ):
        # The promise counts from when the images were complete, not from when somebody changed the priority.
        reading.due_at = due_at(order.priority, reading.study.completed_at or at)


def _matched(session: Session, order: Order, found: Match, *, actor: Actor, at: datetime) -> OrderAnswer:
    order.made_from_study = False
    session.flush()
    _promise_anew(session, order, at=at)
    case_number = _case_number(session, order)
    audit.record(
        session,
        actor=actor,
        at=at,
        act="order.match",
        case_number=case_number,
        detail={
            "order": order.notice_id,
            "strength": found.strength,
            "for": list(found.reasons_for),
            "against": list(found.reasons_against),
        },
    )
    return OrderAnswer(outcome="matched", case_number=case_number)


def _study_for(session: Session, facts: OrderFacts, actor: Actor) -> tuple[Study | None, Match]:
    studies = session.scalars(
        select(Study).where(Study.facility_id == actor.facility_id, Study.pseudonym == facts.pseudonym)
    ).all()
    # A study that has its order already is not asked for twice by the same words.
    free = [study for study in studies if _made_from(session, study) is not None]
    found = {study.id: rules.match(facts, _facts(study)) for study in free}
    chosen = rules.best(list(found.items()))
    nothing = Match(0, (), ())
    return next((study for study in free if study.id == chosen), None), found.get(chosen or 0, nothing)


def _made_from(session: Session, study: Study) -> Order | None:
    return session.scalar(select(Order).where(Order.study_id == study.id, Order.made_from_study.is_(True)))


def _facts(study: Study) -> StudyFacts:
    return StudyFacts(
        pseudonym=study.pseudonym,
        study_instance_uid=study.study_instance_uid,
        accession=study.accession,
        modalities=tuple(study.modalities),
        study_date=study.study_date,
    )


def _facts_of(order: Order) -> OrderFacts:
    return OrderFacts(
        pseudonym=order.pseudonym,
        accession=order.accession,
        study_instance_uid=order.study_instance_uid,
        modality=order.modality,
        study_date=order.study_date,
    )


def _case_number(session: Session, order: Order) -> str | None:
    return session.scalar(
        select(Reading.case_number).where(Reading.order_id == order.id).order_by(Reading.id).limit(1)
    )
