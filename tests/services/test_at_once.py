"""Many at once: exactly one wins, and nothing is lost or doubled."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from teleread.errors import ReauthenticationFailed, StateChangedMeanwhile, TransitionNotAllowed
from teleread.services import audit, reading, reporting
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import AuditRecord, WorkflowEvent
from teleread.storage.models.reports import ReportVersion, SignAuthorisation
from teleread.storage.models.studies import Instance, Series, Study
from tests.builders.centre import SECTIONS, Place, clean_study


def test_of_fifty_readers_who_claim_one_case_exactly_one_gets_it(place: Place) -> None:
    readers = [place.person(f"reader{n}", "reader") for n in range(10)]
    case_number = place.send(clean_study())

    def claim(number: int) -> str:
        actor = readers[number % len(readers)].actor
        try:
            with place.session() as session:
                reading.claim(session, case_number, actor=actor, at=place.at)
        except (StateChangedMeanwhile, TransitionNotAllowed):
            return "lost"
        return actor.name

    with ThreadPoolExecutor(50) as pool:
        outcomes = Counter(pool.map(claim, range(50)))
    winners = set(outcomes) - {"lost"}
    assert len(winners) == 1
    with place.session() as session:
        (row,) = session.scalars(select(Reading))
        assert row.state == "in_progress"
        assert {row.assignee.username} == winners if row.assignee else False
        events = Counter(
            session.scalars(select(WorkflowEvent.event).where(WorkflowEvent.machine == "reading"))
        )
        assert (events["assign"], events["open"]) == (1, 1)
        assert session.scalar(select(func.count(ReportVersion.id))) == 1
        assert audit.verify_chain(session, place.settings.audit_key()) == []


def test_instances_that_come_in_at_once_make_one_study(place: Place) -> None:
    study = clean_study(slices=12)
    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(receipt.outcome for receipt in pool.map(place.store, study.files * 2))
    assert outcomes == {"stored": 12, "already_stored": 12}
    with place.session() as session:
        for model, count in ((Study, 1), (Series, 1), (Instance, 12), (Reading, 1)):
            assert session.scalar(select(func.count()).select_from(model)) == count
    assert place.send(study)


def test_two_browsers_with_one_draft_do_not_overwrite_each_other(place: Place) -> None:
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    revision = place.write(case_number, reader)

    def save(number: int) -> int | None:
        try:
            with place.session() as session:
                sections = SECTIONS | {"findings": f"text {number}"}
                return reporting.save_draft(
                    session, case_number, sections, revision, actor=reader.actor, at=place.at
                )
        except StateChangedMeanwhile:
            return None

    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(save, range(8)))
    assert sorted(saved, key=lambda one: one or 0) == [None] * 7 + [revision + 1]
    with place.session() as session:
        history = reporting.draft_history(session, case_number, actor=reader.actor)
        newest = reporting.draft(session, case_number, actor=reader.actor)
    assert [one.revision for one in history] == list(range(1, revision + 2))
    assert newest.sections == history[-1].sections
    assert newest.sections["findings"] == f"text {saved.index(revision + 1)}"


def test_a_report_that_is_signed_six_times_at_once_is_signed_once(place: Place) -> None:
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    place.write(case_number, reader)
    page = place.review(case_number, reader, 1)

    def attempt(number: int) -> object:
        one = Place(place.settings, place.engine, place.blobs, at=place.at)
        one.wait(minutes=number)
        try:
            return one.sign(case_number, reader, page).already_signed
        except ReauthenticationFailed:
            return None

    with ThreadPoolExecutor(6) as pool:
        outcomes = Counter(pool.map(attempt, range(6)))
    # A later code makes earlier ones worthless, so some tries may fail at that; one signs, the rest find it signed.
    assert outcomes[False] == 1
    assert set(outcomes) <= {False, True, None}
    with place.session() as session:
        for model in (SignAuthorisation, Delivery):
            assert session.scalar(select(func.count()).select_from(model)) == 1


def test_acts_at_once_leave_one_unbroken_audit_chain(place: Place) -> None:
    def act(number: int) -> None:
        with place.session() as session:
            audit.record(session, actor=place.gateway, at=place.at, act="test", detail={"number": number})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(act, range(200)))
    with place.session() as session:
        assert audit.verify_chain(session, place.settings.audit_key()) == []
        numbers = [
            record.detail["number"]
            for record in session.scalars(select(AuditRecord).where(AuditRecord.act == "test"))
        ]
    assert sorted(numbers) == list(range(200))
