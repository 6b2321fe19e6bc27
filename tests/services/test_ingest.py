"""Instances and manifests: duplicates, other bytes, other patients, late images, held objects."""

import hashlib
from typing import Any

import pytest
from sqlalchemy import func, select, update

from teleread.errors import Incomplete, InvalidInput, NotAllowed, NotFound, TransitionNotAllowed
from teleread.services import ingest, live, reading, signing
from teleread.services.ingest import store_instance
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import WorkflowEvent
from teleread.storage.models.studies import Instance, Study
from tests.builders.centre import OPERATOR, CleanStudy, Place, clean_slice, clean_study, held
from tests.builders.datasets import ct_slice, encoded


def manifest(place: Place, study: CleanStudy, **changes: Any) -> Any:
    with place.session() as session:
        return ingest.receive_manifest(session, study.manifest(**changes), actor=place.gateway, at=place.at)


def states(place: Place) -> tuple[str, str]:
    with place.session() as session:
        (study,), (case,) = session.scalars(select(Study)), session.scalars(select(Reading))
        return study.state, case.state


def test_the_first_instance_makes_a_case_that_waits(place: Place) -> None:
    assert place.store(clean_study().files[0]).outcome == "stored"
    assert states(place) == ("receiving", "waiting")


def test_a_study_is_complete_when_the_closed_manifest_is_met_and_not_before(place: Place) -> None:
    study = clean_study()
    place.store(study.files[0])
    answer = manifest(place, study)
    assert {one.sop_instance_uid for one in answer.missing} == {
        one.sop_instance_uid for one in study.listed[1:]
    }
    assert answer.state == "receiving"
    place.store(study.files[1])
    assert states(place) == ("receiving", "waiting")
    place.store(study.files[2])
    assert states(place) == ("complete", "unassigned")


def test_an_open_manifest_completes_nothing(place: Place) -> None:
    study = clean_study()
    for data in study.files:
        place.store(data)
    assert manifest(place, study, closed=False).state == "receiving"
    assert manifest(place, study).state == "complete"


def test_the_same_instance_again_changes_nothing(place: Place) -> None:
    study = clean_study()
    case_number = place.send(study)
    again = place.store(study.files[0])
    assert (again.outcome, again.sha256) == ("already_stored", study.listed[0].sha256)
    assert place.send(study) == case_number
    assert states(place) == ("complete", "unassigned")


def test_other_bytes_under_a_known_uid_are_kept_beside_the_first(place: Place) -> None:
    study, other = clean_study(), clean_study(WindowCenter="99")
    place.store(study.files[0])
    receipt = place.store(other.files[0])
    assert (receipt.outcome, receipt.sha256) == ("conflict", other.listed[0].sha256)
    with place.session() as session:
        rows = list(session.scalars(select(Instance).order_by(Instance.id)))
    assert [(row.sha256, row.is_current, row.conflict) for row in rows] == [
        (study.listed[0].sha256, True, False),
        (other.listed[0].sha256, False, True),
    ]
    assert all(place.blobs.verify(row.sha256) for row in rows)
    for data in study.files[1:]:
        place.store(data)
    assert manifest(place, study).state == "complete"


def test_other_bytes_reopen_nothing_and_are_counted(place: Place) -> None:
    reader = place.person("reader1", "reader")
    study, other = clean_study(), clean_study(WindowCenter="99")
    case_number = place.send(study)
    page = place.review(case_number, reader, place.write(case_number, reader))
    place.sign(case_number, reader, page)
    assert place.store(other.files[0]).outcome == "conflict"
    with place.session() as session:
        (row,) = session.scalars(select(Study))
        assert (row.state, row.revision) == ("complete", 1)
        assert session.scalar(select(func.count(Reading.id))) == 1
        view = reading.case_view(session, case_number, actor=reader.actor, at=place.at)
    assert (view.row.images, view.row.conflicts) == (3, 1)


def test_what_is_refused_leaves_no_file(place: Place) -> None:
    study = clean_study()
    place.store(study.files[0])
    listed = study.listed[1]
    uids = (study.study_instance_uid, listed.series_instance_uid, listed.sop_instance_uid)
    stranger = encoded(clean_slice(2, clean_study("TR-2").pseudonym, *uids))
    receipt = place.store(stranger)
    assert (receipt.outcome, receipt.reason) == ("refused", "other_patient")
    assert not place.blobs.verify(hashlib.sha256(stranger).hexdigest())
    with place.session() as session:
        session.execute(update(Study).values(state="archived"))
    assert place.store(study.files[1]).reason == "study_archived"
    assert not place.blobs.verify(listed.sha256)


def test_an_open_case_is_on_the_list_however_many_there_are(
    small_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LIMIT", 2)
    reader = small_place.person("reader1", "reader")
    numbers = [small_place.send(clean_study(number=one, slices=1)) for one in range(1, 5)]
    with small_place.session() as session:
        for show in ("open", "unassigned"):
            rows = reading.worklist(session, actor=reader.actor, at=small_place.at, show=show)
            assert {row.case_number for row in rows} == set(numbers)


def test_an_instance_of_another_patient_does_not_get_into_a_study(place: Place) -> None:
    study = clean_study()
    place.store(study.files[0])
    listed = study.listed[1]
    stranger = clean_slice(
        2,
        clean_study("TR-2").pseudonym,
        study.study_instance_uid,
        listed.series_instance_uid,
        listed.sop_instance_uid,
    )
    receipt = place.store(encoded(stranger))
    assert (receipt.outcome, receipt.reason) == ("refused", "other_patient")
    with pytest.raises(InvalidInput) as refused:
        manifest(place, study, pseudonym=clean_study("TR-2").pseudonym)
    assert refused.value.code == "other_patient"
    with place.session() as session:
        assert session.scalar(select(func.count(Instance.id))) == 1


@pytest.mark.parametrize("data", [b"", b"not DICOM", clean_study().files[0][:700]])
def test_what_cannot_be_read_is_refused_and_leaves_nothing(place: Place, data: bytes) -> None:
    receipt = place.store(data)
    assert receipt.outcome == "refused"
    assert receipt.reason
    with place.session() as session:
        assert session.scalar(select(func.count(Study.id))) == 0


@pytest.mark.parametrize(
    "changes",
    [{"PatientName": "YAMADA^HANAKO"}, {"PatientBirthDate": "19590203"}, {"PatientID": "TR-0071234"}],
)
def test_an_instance_with_identity_never_reaches_the_disk(
    small_place: Place, changes: dict[str, str]
) -> None:
    study = clean_study(**changes)
    receipt = small_place.store(study.files[0])
    assert (receipt.outcome, receipt.reason) == ("refused", "not_deidentified")
    files = [path for path in small_place.settings.data.rglob("*") if path.is_file()]
    for value in changes.values():
        assert not any(value.encode() in path.read_bytes() for path in files)


def test_an_original_is_refused(small_place: Place) -> None:
    assert small_place.store(encoded(ct_slice())).reason == "not_deidentified"


def test_a_late_image_reopens_the_study_and_the_reader_has_to_look_before_signing(place: Place) -> None:
    reader = place.person("reader1", "reader")
    whole = clean_study(slices=4)
    first = CleanStudy(whole.study_instance_uid, whole.pseudonym, whole.files[:3], whole.listed[:3])
    case_number = place.send(first)
    revision = place.write(case_number, reader)
    page = place.review(case_number, reader, revision)
    place.store(whole.files[3])
    assert states(place) == ("receiving", "in_progress")
    assert manifest(place, whole, revision=2).state == "complete"
    with place.session() as session:
        row = place.reading(session, case_number)
        assert (row.images_added, row.seen_revision, row.study.revision) == (True, 1, 2)
    with pytest.raises(Incomplete) as refused:
        place.sign(case_number, reader, page)
    assert refused.value.code == "images_added"
    with pytest.raises(Incomplete):
        place.review(case_number, reader, revision)
    page = place.review(case_number, reader, revision, acknowledge_images=True)
    assert place.sign(case_number, reader, page).status == "final"


def test_a_late_image_after_signing_opens_a_case_for_a_person_to_decide(place: Place) -> None:
    reader = place.person("reader1", "reader")
    whole = clean_study(slices=4)
    first = CleanStudy(whole.study_instance_uid, whole.pseudonym, whole.files[:3], whole.listed[:3])
    case_number = place.send(first)
    page = place.review(case_number, reader, place.write(case_number, reader))
    place.sign(case_number, reader, page)
    place.store(whole.files[3])
    manifest(place, whole, revision=2)
    with place.session() as session:
        first_case, second = session.scalars(select(Reading).order_by(Reading.id))
    assert (first_case.state, second.kind, second.state) == ("completed", "addendum", "unassigned")
    page = place.review(second.case_number, reader, place.write(second.case_number, reader))
    assert place.sign(second.case_number, reader, page).version == 2


def test_an_older_manifest_does_not_undo_a_newer_one(place: Place) -> None:
    study = clean_study()
    manifest(place, study, revision=2)
    answer = manifest(place, study, revision=1, instances=())
    assert len(answer.missing) == 3


def test_a_study_of_which_everything_is_held_is_shown_as_incomplete_and_cannot_be_read(place: Place) -> None:
    study = clean_study()
    answer = manifest(place, study, instances=(), held=(held("burned_in", 3),))
    assert answer.state == "receiving"
    assert answer.case_number
    place.wait(seconds=200)
    with place.session() as session:
        assert ingest.sweep_stalled(session, at=place.at) == 1
    assert states(place) == ("incomplete", "waiting")
    reader = place.person("reader1", "reader")
    with pytest.raises(TransitionNotAllowed), place.session() as session:
        reading.claim(session, answer.case_number, actor=reader.actor, at=place.at)
    coordinator = place.person("coordinator", "coordinator")
    with pytest.raises(InvalidInput), place.session() as session:
        ingest.accept_as_is(session, answer.case_number, "as it is", actor=coordinator.actor, at=place.at)


def test_each_image_more_that_the_facility_holds_back_is_an_event_that_boards_follow(place: Place) -> None:
    study = clean_study()
    for revision, count in ((1, 1), (1, 1), (2, 3), (3, 2)):
        manifest(place, study, revision=revision, closed=False, held=(held("risky_kind", count),))
    coordinator = place.person("coordinator", "coordinator").actor
    with place.session() as session:
        rows = session.scalars(select(WorkflowEvent).where(WorkflowEvent.event == ingest.HELD_BACK)).all()
        assert [(row.reason, row.from_state == row.to_state) for row in rows] == [("1", True), ("3", True)]
        news = live.changes_after(session, rows[0].id - 1, actor=coordinator)
    assert news is not None
    assert [change.kind for change in news] == ["worklist"]


def test_a_stalled_study_is_complete_when_the_rest_comes_or_a_coordinator_says_so(place: Place) -> None:
    study = clean_study()
    place.store(study.files[0])
    case_number = manifest(place, study).case_number
    with place.session() as session:
        assert ingest.sweep_stalled(session, at=place.wait(seconds=60)) == 0
        assert ingest.sweep_stalled(session, at=place.wait(seconds=120)) == 1
    coordinator = place.person("coordinator", "coordinator")
    with place.session() as session:
        ingest.accept_as_is(session, case_number, "rest is lost", actor=coordinator.actor, at=place.at)
    assert states(place) == ("complete", "unassigned")
    place.store(study.files[1])
    assert states(place) == ("receiving", "unassigned")
    place.store(study.files[2])
    assert states(place) == ("complete", "unassigned")


def test_a_manifest_that_came_after_the_sweep_completes_the_study(place: Place) -> None:
    study = clean_study()
    for data in study.files:
        place.store(data)
    with place.session() as session:
        assert ingest.sweep_stalled(session, at=place.wait(minutes=10)) == 1
    assert manifest(place, study).state == "complete"


def test_facilities_do_not_meet(place: Place) -> None:
    other = place.facility("hospital")
    study = clean_study()
    place.send(study)
    with place.session() as session, pytest.raises(NotFound):
        reading.study_status(session, study.study_instance_uid, actor=other, at=place.at)
    place.send(study, gateway=other)
    with place.session() as session:
        assert session.scalar(select(func.count(Study.id))) == 2
        assert len(reading.status_list(session, actor=other, at=place.at)) == 1


def test_nobody_stores_without_a_facility(small_place: Place) -> None:
    with pytest.raises(NotAllowed):
        store_instance(
            small_place.engine,
            small_place.blobs,
            small_place.blobs.new_part(),
            actor=OPERATOR,
            at=small_place.at,
        )


def test_a_report_of_an_incomplete_study_needs_a_reason(place: Place) -> None:
    reader = place.person("reader1", "reader")
    study = clean_study()
    place.store(study.files[0])
    case_number = manifest(place, study).case_number
    with place.session() as session:
        reading.start_incomplete(session, case_number, actor=reader.actor, at=place.at)
    revision = place.write(case_number, reader)
    with pytest.raises(Incomplete) as refused, place.session() as session:
        signing.request_review(session, case_number, revision, actor=reader.actor, at=place.at)
    assert refused.value.code == "study_incomplete"
    page = place.review(case_number, reader, revision, incomplete_reason="stroke")
    assert place.sign(case_number, reader, page).status == "final"
