"""Critical findings on both databases: what counts, who may, what stays open, and messages that are not lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from teleread.domain.critical import LIMITS, READ_BACK, Contact, Method, Told
from teleread.errors import InvalidInput, NotAllowed, NotFound, TransitionNotAllowed
from teleread.jobs import JobName
from teleread.services import contacts, critical, delivery
from teleread.storage.models.critical import CriticalAlert, CriticalAttempt
from teleread.storage.models.records import AuditRecord, OutboxRow, WorkflowEvent
from teleread.wire.critical import CriticalAcknowledgement
from teleread.wire.receipts import DeliveryReceipt, PackageEvent
from tests.builders.centre import OPERATOR, Person, Place, clean_study

HEARD = frozenset(READ_BACK)
WORDS = "急性硬膜下血腫。"
DOCTOR = CriticalAcknowledgement(person="例示 五郎", account="reiji")


def raised(place: Place, reader: Person, category: str = "1", number: int = 1) -> tuple[str, str]:
    case_number = place.send(clean_study(number=number))
    with place.session() as session:
        return case_number, critical.raise_finding(
            session, case_number, category, WORDS, actor=reader.actor, at=place.at
        )


def told(place: Place, critical_id: str, who: Person, heard: frozenset[str] = HEARD) -> None:
    with place.session() as session:
        call = Told("例示 五郎", Method.PHONE, place.at, heard)
        critical.record_told(session, critical_id, call, actor=who.actor, at=place.at)


def view(place: Place, case_number: str, who: Person) -> critical.FindingView:
    with place.session(writes=False) as session:
        (found,) = critical.of_case(session, case_number, actor=who.actor, at=place.at)
        return found


def alerts(place: Place) -> list[tuple[int, int, str, str]]:
    with place.session(writes=False) as session:
        rows = session.scalars(select(CriticalAlert).order_by(CriticalAlert.id))
        return [(row.round, row.step, row.channel, row.outcome) for row in rows]


def newest_alert(place: Place) -> int:
    with place.session(writes=False) as session:
        found = session.scalar(select(CriticalAlert.id).order_by(CriticalAlert.id.desc()).limit(1))
    assert found is not None
    return int(found)


def answer(place: Place, *, answered: bool) -> None:
    with place.session() as session:
        critical.finish_alert(session, newest_alert(place), answered=answered, detail="x", at=place.at)


def sweep(place: Place) -> int:
    with place.session() as session:
        return critical.sweep(session, at=place.at)


def test_from_the_raising_to_the_doctors_word(place: Place) -> None:
    reader, coordinator = place.person("reader1", "reader"), place.person("coord", "coordinator")
    clinic = place.person("clinic1", "facility", facility_code="clinic")
    case_number, critical_id = raised(place, reader)
    for missing in READ_BACK:
        with pytest.raises(InvalidInput, match="was not read back"):
            told(place, critical_id, coordinator, HEARD - {missing})
    assert view(place, case_number, reader).state == "raised"
    with pytest.raises(TransitionNotAllowed), place.session() as session:
        critical.acknowledge(session, critical_id, actor=clinic.actor, at=place.at)
    told(place, critical_id, coordinator)
    found = view(place, case_number, reader)
    assert (found.state, found.told, found.notified_at) == ("notified", "例示 五郎", place.at)
    # Looking at it is not taking note of it.
    with place.session() as session:
        (seen,) = critical.of_facility(session, actor=clinic.actor, at=place.at)
        (notice,) = critical.notices(session, actor=place.gateway)
    assert seen.may_acknowledge
    assert notice.told == "例示 五郎"
    assert view(place, case_number, reader).state == "notified"
    for _ in range(2):
        with place.session() as session:
            critical.acknowledge(session, critical_id, actor=clinic.actor, at=place.at)
    found = view(place, case_number, coordinator)
    assert (found.state, found.acknowledged_by) == ("acknowledged", "名前 clinic1 (clinic1)")
    with pytest.raises(InvalidInput), place.session() as session:
        critical.close(session, critical_id, " ", actor=coordinator.actor, at=place.at)
    with place.session() as session:
        critical.close(session, critical_id, "再検を3か月後に予約", actor=coordinator.actor, at=place.at)
    with place.session(writes=False) as session:
        events = session.scalars(
            select(WorkflowEvent.event).where(WorkflowEvent.machine == "critical_finding")
        )
        assert list(events) == ["created", "notified", "acknowledge", "close"]
        acts = session.scalars(select(AuditRecord.act).where(AuditRecord.act.startswith("critical.")))
        assert list(acts) == ["critical.raise", "critical.told", "critical.acknowledge", "critical.close"]


def test_the_gateway_vouches_for_the_doctor_at_its_console(place: Place) -> None:
    reader = place.person("reader1", "reader")
    case_number, critical_id = raised(place, reader)
    told(place, critical_id, reader)
    for _ in range(2):
        with place.session() as session:
            answered = critical.acknowledge_at_gateway(
                session, critical_id, DOCTOR, actor=place.gateway, at=place.at
            )
    assert (answered.state, answered.acknowledged_by) == ("acknowledged", "例示 五郎 (reiji)")
    with place.session(writes=False) as session:
        assert critical.notices(session, actor=place.gateway) == []
    assert view(place, case_number, reader).state == "acknowledged"


def test_only_the_facility_concerned_sees_it_and_takes_note(small_place: Place) -> None:
    place = small_place
    reader, other = place.person("reader1", "reader"), place.facility("other")
    stranger = place.person("other1", "facility", facility_code="other")
    _, critical_id = raised(place, reader)
    told(place, critical_id, reader)
    for act in (
        lambda session: critical.acknowledge(session, critical_id, actor=stranger.actor, at=place.at),
        lambda session: critical.acknowledge_at_gateway(
            session, critical_id, DOCTOR, actor=other, at=place.at
        ),
        lambda session: critical.close(session, critical_id, "x", actor=stranger.actor, at=place.at),
    ):
        with pytest.raises(NotFound), place.session() as session:
            act(session)
    with place.session(writes=False) as session:
        assert critical.of_facility(session, actor=stranger.actor, at=place.at) == []
        assert critical.notices(session, actor=other) == []
    for who in (reader, place.person("coord", "coordinator"), place.person("admin", "administrator")):
        with pytest.raises(NotAllowed), place.session() as session:
            critical.acknowledge(session, critical_id, actor=who.actor, at=place.at)
    call = Told("x", Method.PHONE, place.at, HEARD)
    with pytest.raises(NotAllowed), place.session() as session:
        critical.record_told(session, critical_id, call, actor=stranger.actor, at=place.at)


def test_the_database_refuses_a_told_person_without_read_back(place: Place) -> None:
    reader = place.person("reader1", "reader")
    raised(place, reader)
    with pytest.raises(IntegrityError), place.session() as session:
        session.add(
            CriticalAttempt(
                finding_id=1,
                person="x",
                method="phone",
                outcome="told",
                heard_case_number=True,
                heard_sex=True,
                at=place.at,
                by="x",
                recorded_at=place.at,
            )
        )
    with pytest.raises(IntegrityError), place.session() as session:
        session.execute(text("UPDATE critical_finding SET state = 'notified'"))


def test_no_answer_goes_to_the_next_contact_and_says_whom(small_place: Place) -> None:
    place = small_place
    reader = place.person("reader1", "reader")
    on_duty = [Contact("当直医", "2211"), Contact("時間外受付", "2200")]
    with place.session() as session:
        was = contacts.ladder(session, "clinic", actor=OPERATOR).version
        rows = [(str(number), one) for number, one in enumerate(on_duty, 1)]
        contacts.replace(session, "clinic", rows, was, actor=OPERATOR, at=place.at)
    case_number, critical_id = raised(place, reader)
    assert view(place, case_number, reader).next_contact == on_duty[0]
    for expected in (on_duty[1], on_duty[0]):
        with place.session() as session:
            call = Told("当直医", Method.PHONE, place.at, frozenset())
            now = critical.record_no_answer(session, critical_id, call, actor=reader.actor, at=place.at)
        assert now == expected
    assert view(place, case_number, reader).state == "raised"


def test_only_the_assignee_takes_it_back_and_only_while_nobody_was_told(small_place: Place) -> None:
    place = small_place
    reader, other = place.person("reader1", "reader"), place.person("reader2", "reader")
    case_number, critical_id = raised(place, reader)
    place.write(case_number, reader)
    with pytest.raises(TransitionNotAllowed), place.session() as session:
        critical.withdraw(session, critical_id, "wrong case", actor=other.actor, at=place.at)
    with place.session() as session:
        critical.withdraw(session, critical_id, "wrong case", actor=reader.actor, at=place.at)
    assert view(place, case_number, reader).state == "withdrawn"
    with place.session() as session:
        second = critical.raise_finding(session, case_number, "2", WORDS, actor=reader.actor, at=place.at)
    told(place, second, reader)
    with pytest.raises(TransitionNotAllowed), place.session() as session:
        critical.withdraw(session, second, "wrong case", actor=reader.actor, at=place.at)


def test_an_order_does_not_close_before_the_doctor_took_note(small_place: Place) -> None:
    place = small_place
    reader = place.person("reader1", "reader")
    case_number, critical_id = raised(place, reader)
    package = place.package(case_number, reader)
    receipt = DeliveryReceipt(
        package_id=package.package_id,
        pdf_sha256=package.pdf_sha256,
        delivered_pdf_sha256="c" * 64,
        route="dicom_store",
        status="delivered",
        detail="",
        at=place.at,
    )
    handed = PackageEvent(event="handed_over", at=place.at)
    for event in (handed, replace(handed, event="delivered", receipts=(receipt,))):
        with place.session() as session:
            delivery.record_event(session, package.package_id, event, actor=place.gateway, at=place.at)

    def order_state() -> str:
        with place.session(writes=False) as session:
            return place.reading(session, case_number).order.state

    assert order_state() == "reported"
    told(place, critical_id, reader)
    assert order_state() == "reported"
    with place.session() as session:
        critical.acknowledge_at_gateway(session, critical_id, DOCTOR, actor=place.gateway, at=place.at)
    assert order_state() == "closed"


def test_a_channel_that_fails_is_followed_by_the_next_step_at_once(place: Place) -> None:
    raised(place, place.person("reader1", "reader"))
    assert alerts(place) == [(1, 0, "mail", "")]
    answer(place, answered=False)
    assert alerts(place) == [(1, 0, "mail", "failed"), (1, 1, "pager", "")]
    answer(place, answered=True)
    assert sweep(place) == 0
    assert alerts(place)[-1] == (1, 1, "pager", "answered")
    with place.session(writes=False) as session:
        jobs = list(session.scalars(select(OutboxRow.job)))
    assert jobs == [JobName.SEND_CRITICAL_ALERT] * 2


def test_a_round_that_reached_nobody_begins_anew(small_place: Place) -> None:
    place = small_place
    raised(place, place.person("reader1", "reader"))
    answer(place, answered=False)
    answer(place, answered=False)
    assert len(alerts(place)) == 2
    assert sweep(place) == 0
    place.wait(minutes=1)
    assert sweep(place) == 1
    assert alerts(place)[-1] == (2, 0, "pager", "")


def test_what_a_killed_worker_left_undone_is_sent_again_under_the_same_key(place: Place) -> None:
    raised(place, place.person("reader1", "reader"))
    alert_id = newest_alert(place)
    sent = []
    for _ in range(2):
        # The first worker dies after this line: sent, and not written down.
        with place.session() as session:
            sent.append(critical.begin_alert(session, alert_id, at=place.at))
    assert sent[0] is not None
    assert sent[0] == sent[1]
    answer(place, answered=True)
    with place.session() as session:
        assert critical.begin_alert(session, alert_id, at=place.at) is None
        # A late word of the first worker changes nothing.
        critical.finish_alert(session, alert_id, answered=False, detail="timeout", at=place.at)
    assert alerts(place) == [(1, 0, "mail", "answered")]


def test_late_ones_escalate_until_somebody_acts(place: Place) -> None:
    reader = place.person("reader1", "reader")
    clinic = place.person("clinic1", "facility", facility_code="clinic")
    case_number, critical_id = raised(place, reader)
    answer(place, answered=True)
    place.wait(minutes=29)
    assert sweep(place) == 0
    place.wait(minutes=2)
    assert view(place, case_number, reader).is_late
    assert [sweep(place), sweep(place)] == [1, 0]
    assert alerts(place)[-1] == (2, 0, "pager", "")
    with place.session() as session:
        message = critical.begin_alert(session, newest_alert(place), at=place.at)
    assert message is not None
    assert (message.minutes_left, message.category) == (-1, "1")
    place.at += LIMITS[view(place, case_number, reader).category].repeat + timedelta(seconds=1)  # type: ignore[index]
    assert sweep(place) == 1
    told(place, critical_id, reader)
    place.wait(minutes=10)
    assert sweep(place) == 0
    place.wait(minutes=21)
    assert sweep(place) == 1
    assert view(place, case_number, reader).escalations == 3
    with place.session() as session:
        critical.acknowledge(session, critical_id, actor=clinic.actor, at=place.at)
    place.wait(days=2)
    assert sweep(place) == 0
    # What was asked for before is not sent any more.
    with place.session() as session:
        assert critical.begin_alert(session, newest_alert(place), at=place.at) is None
    assert alerts(place)[-1][3] == "not_needed"
