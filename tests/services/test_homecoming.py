"""A report that does not come home: its critical finding is told by a person's voice, at once."""

from sqlalchemy import select

from teleread.domain.critical import Category
from teleread.services import critical, homecoming
from teleread.storage.models.critical import CriticalAlert, CriticalFinding
from teleread.storage.models.records import AuditRecord
from teleread.wire.critical import CriticalAcknowledgement
from teleread.wire.receipts import PackageEvent
from tests.builders.centre import Person, Place, clean_study


def say(place: Place, package_id: str, event: str, reason: str = "") -> str:
    message = PackageEvent(event=event, at=place.at, reason=reason)
    with place.session() as session:
        return homecoming.note_event(session, package_id, message, actor=place.gateway, at=place.at)


def raised(place: Place, case_number: str, reader: Person) -> str:
    with place.session() as session:
        return critical.raise_finding(
            session, case_number, Category.DAYS, "緊急の所見", actor=reader.actor, at=place.at
        )


def rounds(place: Place) -> list[tuple[int, int]]:
    with place.session(writes=False) as session:
        rows = session.execute(select(CriticalAlert.round, CriticalAlert.step).order_by(CriticalAlert.id))
        return [(row[0], row[1]) for row in rows]


def test_a_held_report_with_a_critical_finding_starts_the_ladder_at_once_and_once(small_place: Place) -> None:
    place = small_place
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    package = place.package(case_number, reader)
    raised(place, case_number, reader)
    assert rounds(place) == [(1, 0)]
    say(place, package.package_id, "handed_over")
    assert rounds(place) == [(1, 0)]
    for _ in range(2):
        assert say(place, package.package_id, "identity_doubt", "sex") == "held"
    assert rounds(place) == [(1, 0), (2, 0)]
    with place.session(writes=False) as session:
        finding = session.scalars(select(CriticalFinding)).one()
        assert (finding.state, finding.escalations) == ("raised", 1)
        assert session.scalar(select(AuditRecord.act).where(AuditRecord.act == "critical.hurry"))
    # Released and stopped again is news again.
    assert say(place, package.package_id, "released") == "in_transit"
    assert say(place, package.package_id, "gave_up", "0xC000") == "failed"
    assert rounds(place) == [(1, 0), (2, 0), (3, 0)]


def test_what_the_doctor_knows_already_hurries_nobody(small_place: Place) -> None:
    place = small_place
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    package = place.package(case_number, reader)
    critical_id = raised(place, case_number, reader)
    with place.session() as session:
        finding = session.scalars(select(CriticalFinding)).one()
        finding.state, finding.notified_at = "notified", place.at
    doctor = CriticalAcknowledgement(person="例示 五郎", account="doctor")
    with place.session() as session:
        critical.acknowledge_at_gateway(session, critical_id, doctor, actor=place.gateway, at=place.at)
    say(place, package.package_id, "handed_over")
    assert say(place, package.package_id, "identity_doubt", "sex") == "held"
    assert rounds(place) == [(1, 0)]
