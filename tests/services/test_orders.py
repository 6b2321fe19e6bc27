"""Orders of facilities: before the study, after it, twice, changed, and of another patient."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from teleread.errors import InvalidInput, NotAllowed
from teleread.services import orders
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.wire.orders import OrderAnswer, OrderNotice
from tests.builders.centre import OPERATOR, Place, clean_study


def notice(place: Place, **changes: Any) -> OrderNotice:
    study = clean_study().manifest()
    fields: dict[str, Any] = {
        "order_id": "7HJ2KX0Q4M9V",
        "pseudonym": study.pseudonym,
        "accession": study.accession,
        "study_instance_uid": "",
        "study_date": study.study_date,
        "modality": study.modalities[0],
        "body_part": "胸部",
        "examination": "",
        "contrast": "none",
        "priority": "stat",
        "clinical_question": "結節の増大の有無。",
        "history": "8か月前に8 mm。",
        "department": "内科",
        "responsible_doctor": "例示 五郎",
        "callback_phone": "内線 2210",
        "requested_at": place.at,
    }
    return OrderNotice(**(fields | changes))


def receive(place: Place, message: OrderNotice) -> OrderAnswer:
    with place.session() as session:
        return orders.receive_order(session, message, actor=place.gateway, at=place.at)


def the_order(place: Place) -> tuple[str, str, str, str, bool]:
    with place.session() as session:
        (order,) = session.scalars(select(Order))
        return order.state, order.priority, order.clinical_question, order.doctor, order.made_from_study


WORDS = ("stat", "結節の増大の有無。", "例示 五郎", False)


def test_an_order_after_its_study_fills_the_order_that_was_made_from_it(place: Place) -> None:
    case_number = place.send(clean_study())
    assert receive(place, notice(place)) == OrderAnswer(outcome="matched", case_number=case_number)
    assert the_order(place) == ("matched", *WORDS)


def test_an_order_before_its_study_waits_and_is_found_when_the_study_comes(place: Place) -> None:
    assert receive(place, notice(place)).outcome == "waiting"
    case_number = place.send(clean_study())
    assert the_order(place) == ("matched", *WORDS)
    assert receive(place, notice(place)) == OrderAnswer(outcome="matched", case_number=case_number)


def test_the_promise_follows_the_priority_of_the_order_from_when_the_images_were_complete(
    place: Place,
) -> None:
    place.send(clean_study())
    complete_at = place.at
    place.wait(minutes=10)
    receive(place, notice(place))
    with place.session() as session:
        assert session.scalar(select(Reading.due_at)) == complete_at + timedelta(minutes=60)


def test_the_same_order_again_changes_nothing_and_a_later_one_replaces_its_words(place: Place) -> None:
    place.send(clean_study())
    first = receive(place, notice(place))
    assert receive(place, notice(place, clinical_question="別の文")) == first
    assert the_order(place)[2] == "結節の増大の有無。"
    later = notice(place, clinical_question="悪性か。", requested_at=place.at + timedelta(seconds=1))
    assert receive(place, later) == first
    assert the_order(place)[2] == "悪性か。"


def test_an_order_of_another_patient_never_meets_the_study(place: Place) -> None:
    place.send(clean_study())
    study = clean_study().manifest()
    other = notice(place, pseudonym="XXXXX-XXXXX", study_instance_uid=study.study_instance_uid)
    assert receive(place, other).outcome == "waiting"
    with place.session() as session:
        assert session.scalar(select(func.count(Order.id))) == 2
    with pytest.raises(InvalidInput) as told:
        receive(place, replace(other, pseudonym="C36PV-4K2M7"))
    assert told.value.code == "other_patient"


def test_a_second_order_for_a_study_that_has_one_waits(place: Place) -> None:
    place.send(clean_study())
    assert receive(place, notice(place)).outcome == "matched"
    assert receive(place, notice(place, order_id="SECOND")).outcome == "waiting"


def test_only_a_gateway_sends_orders_and_only_with_a_priority_of_the_centre(place: Place) -> None:
    with place.session() as session, pytest.raises(NotAllowed):
        orders.receive_order(session, notice(place), actor=OPERATOR, at=place.at)
    with pytest.raises(InvalidInput):
        receive(place, notice(place, priority="tomorrow"))
