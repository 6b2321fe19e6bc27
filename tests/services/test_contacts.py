"""A facility's contacts on both databases: who may keep them, what is recorded, and that messages go to them."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from teleread.domain.critical import Contact
from teleread.errors import InvalidInput, NotAllowed, NotFound, StateChangedMeanwhile
from teleread.services import contacts, critical
from teleread.storage.models.critical import CriticalAlert
from teleread.storage.models.records import AuditRecord
from tests.builders.centre import Person, Place, clean_study

LADDER = [
    ("1", Contact("当直医", "2211", "救急", "duty@clinic.example")),
    ("2", Contact("病棟師長", "2200")),
    ("3", Contact("安全管理者", "2255", "医療安全", "safety@clinic.example", is_second=True)),
]


def enter(place: Place, who: Person, rows: list[tuple[str, Contact]], facility_code: str = "clinic") -> None:
    with place.session() as session:
        was = contacts.ladder(session, facility_code, actor=who.actor).version
        contacts.replace(session, facility_code, rows, was, actor=who.actor, at=place.at)


def test_coordinators_and_administrators_keep_them_and_it_is_recorded(place: Place) -> None:
    coordinator, admin = place.person("coord", "coordinator"), place.person("admin", "administrator")
    place.facility("other")
    enter(place, coordinator, LADDER)
    enter(place, admin, [LADDER[1], ("1", LADDER[2][1])])
    with place.session(writes=False) as session:
        rows = contacts.facilities(session, actor=coordinator.actor)
        assert [(one.code, one.people, one.by_mail) for one in rows] == [("other", 0, 0), ("clinic", 2, 1)]
        found = contacts.ladder(session, "clinic", actor=admin.actor).contacts
        details = session.scalars(select(AuditRecord.detail).where(AuditRecord.act == "facility.contacts"))
        assert [one["after"] for one in details] == [
            ["当直医", "病棟師長", "安全管理者"],
            ["安全管理者", "病棟師長"],
        ]
    assert found == (LADDER[2][1], LADDER[1][1])


def test_nobody_else_sees_or_changes_them_and_another_tenant_finds_none(small_place: Place) -> None:
    place = small_place
    coordinator = place.person("coord", "coordinator")
    enter(place, coordinator, LADDER)
    others = [
        place.person("reader1", "reader").actor,
        place.person("clinic1", "facility", facility_code="clinic").actor,
        place.gateway,
    ]
    for actor in others:
        for act in (
            lambda session, actor=actor: contacts.ladder(session, "clinic", actor=actor),
            lambda session, actor=actor: contacts.facilities(session, actor=actor),
            lambda session, actor=actor: contacts.replace(
                session, "clinic", [], "", actor=actor, at=place.at
            ),
        ):
            with pytest.raises(NotAllowed), place.session() as session:
                act(session)
    stranger = replace(coordinator.actor, facility_id=place.facility("other").facility_id)
    with place.session() as session:
        assert [one.code for one in contacts.facilities(session, actor=stranger)] == ["other"]
        for code in ("clinic", "nowhere"):
            with pytest.raises(NotFound):
                contacts.ladder(session, code, actor=stranger)


def test_a_wrong_line_or_another_person_s_change_leaves_everything_as_it_was(small_place: Place) -> None:
    place = small_place
    coordinator = place.person("coord", "coordinator")
    with place.session(writes=False) as session:
        old = contacts.ladder(session, "clinic", actor=coordinator.actor).version
    enter(place, coordinator, LADDER)
    with pytest.raises(InvalidInput):
        enter(place, coordinator, [*LADDER, ("4", Contact("x", ""))])
    with pytest.raises(StateChangedMeanwhile), place.session() as session:
        contacts.replace(session, "clinic", [], old, actor=coordinator.actor, at=place.at)
    with place.session(writes=False) as session:
        kept = contacts.ladder(session, "clinic", actor=coordinator.actor).contacts
    assert kept == tuple(one for _, one in LADDER)


def test_messages_of_what_is_late_reach_the_ladder_rung_by_rung(place: Place) -> None:
    reader, coordinator = place.person("reader1", "reader"), place.person("coord", "coordinator")
    enter(place, coordinator, LADDER)
    case_number = place.send(clean_study())
    with place.session() as session:
        critical.raise_finding(session, case_number, "1", "出血", actor=reader.actor, at=place.at)

    def reached() -> list[str]:
        with place.session() as session:
            newest = session.scalars(select(CriticalAlert.id).order_by(CriticalAlert.id.desc())).first()
            message = critical.begin_alert(session, newest or 0, at=place.at)
            assert message is not None
            critical.finish_alert(session, newest or 0, answered=True, detail="x", at=place.at)
            return [one.name for one in message.receivers]

    told = [reached()]
    place.wait(minutes=30)
    for _ in range(3):
        place.wait(minutes=6)
        with place.session() as session:
            assert critical.sweep(session, at=place.at) == 1
        told.append(reached())
    assert told == [
        [],
        ["当直医", "安全管理者"],
        ["当直医", "病棟師長", "安全管理者"],
        ["当直医", "病棟師長", "安全管理者"],
    ]
