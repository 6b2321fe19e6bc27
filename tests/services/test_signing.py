"""Signing: the exact page, authenticated again, once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from teleread.errors import (
    Incomplete,
    InvalidInput,
    NotAllowed,
    NotFound,
    ReauthenticationFailed,
    StateChangedMeanwhile,
    TransitionNotAllowed,
    Unavailable,
)
from teleread.rendering import report_pdf
from teleread.services import delivery, ingest, reading, reporting, signing
from teleread.services.signing import authorise_and_sign
from teleread.storage import outbox
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import OutboxRow
from teleread.storage.models.reports import Rendering, ReportVersion, SignAuthorisation
from teleread.wire.receipts import DeliveryReceipt, PackageEvent
from tests.builders.centre import SECTIONS, CleanStudy, Person, Place, clean_study
from tests.builders.databases import waiting_writer


@pytest.fixture
def reader(place: Place) -> Person:
    return place.person("reader1", "reader")


@pytest.fixture
def case_number(place: Place) -> str:
    return place.send(clean_study())


def test_signing_the_same_page_twice_answers_that_it_is_signed(
    place: Place, reader: Person, case_number: str
) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    first = place.sign(case_number, reader, page)
    again = place.sign(case_number, reader, page)
    assert (first.already_signed, again.already_signed) == (False, True)
    assert again.signed_at == first.signed_at
    with place.session() as session:
        assert len(list(session.scalars(select(SignAuthorisation)))) == 1


def test_a_version_that_is_signed_cannot_be_signed_by_another_page(
    place: Place, reader: Person, case_number: str
) -> None:
    revision = place.write(case_number, reader)
    one, other = place.review(case_number, reader, revision), place.review(case_number, reader, revision)
    place.sign(case_number, reader, one)
    with pytest.raises(TransitionNotAllowed):
        place.sign(case_number, reader, other)


def test_a_page_that_fails_at_every_try_is_given_up_and_the_reader_sees_it(
    place: Place, reader: Person, case_number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("氏名")

    monkeypatch.setattr(report_pdf, "render_report", broken)
    revision = place.write(case_number, reader)
    with place.session() as session:
        rendering_id = signing.request_review(session, case_number, revision, actor=reader.actor, at=place.at)
        (row,) = session.scalars(select(OutboxRow))
    for attempt in range(1, 6):
        with place.session() as session:
            outbox.mark_started(session, row.id, at=place.at)
        if attempt < 5:
            with pytest.raises(Unavailable, match="ZeroDivisionError") as failed:
                signing.render_rendering(place.engine, place.blobs, row.subject_id, at=place.at)
            assert "氏名" not in str(failed.value)
        else:
            signing.render_rendering(place.engine, place.blobs, row.subject_id, at=place.at)
        with place.session() as session:
            found = signing.rendering(session, rendering_id, actor=reader.actor)
        assert found.state == ("pending" if attempt < 5 else "failed")
    assert found.failure == "render_failed"


def test_a_wrong_password_or_a_used_code_signs_nothing(
    place: Place, reader: Person, case_number: str
) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    code = reader.code(place.wait(seconds=60))
    for password, totp in (("wrong", code), (reader.new.password, "000000"), ("", "")):
        with pytest.raises(ReauthenticationFailed):
            authorise_and_sign(
                place.engine, case_number, page.rendering_id, str(page.pdf_sha256), password, totp,
                seen_pages=page.pages or 0, actor=reader.actor, at=place.at,
            )  # fmt: skip
    with place.session() as session:
        assert session.scalar(select(ReportVersion.status)) == "draft"
        assert session.scalar(select(SignAuthorisation.id)) is None


def test_a_page_that_was_not_looked_at_is_not_signed(place: Place, reader: Person, case_number: str) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    assert page.pages
    with pytest.raises(Incomplete) as refused:
        authorise_and_sign(
            place.engine, case_number, page.rendering_id, str(page.pdf_sha256), reader.new.password,
            reader.code(place.at), seen_pages=page.pages - 1, actor=reader.actor, at=place.at,
        )  # fmt: skip
    assert refused.value.code == "pages_unseen"


def test_another_digest_than_the_pages_is_refused(place: Place, reader: Person, case_number: str) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    with pytest.raises(InvalidInput):
        authorise_and_sign(
            place.engine, case_number, page.rendering_id, "a" * 64, reader.new.password, reader.code(place.at),
            seen_pages=1, actor=reader.actor, at=place.at,
        )  # fmt: skip


def test_a_text_that_changed_after_the_review_has_to_be_reviewed_again(
    place: Place, reader: Person, case_number: str
) -> None:
    revision = place.write(case_number, reader)
    page = place.review(case_number, reader, revision)
    with place.session() as session:
        reporting.save_draft(
            session, case_number, SECTIONS | {"impression": "正常"}, revision, actor=reader.actor, at=place.at
        )
    with pytest.raises(StateChangedMeanwhile):
        place.sign(case_number, reader, page)
    with pytest.raises(StateChangedMeanwhile):
        place.review(case_number, reader, revision)


def test_a_page_that_is_not_ready_cannot_be_signed(place: Place, reader: Person, case_number: str) -> None:
    revision = place.write(case_number, reader)
    with place.session() as session:
        rendering_id = signing.request_review(session, case_number, revision, actor=reader.actor, at=place.at)
        assert signing.rendering(session, rendering_id, actor=reader.actor).state == "pending"
    with pytest.raises(Incomplete):
        authorise_and_sign(
            place.engine, case_number, rendering_id, "a" * 64, reader.new.password, reader.code(place.at),
            seen_pages=1, actor=reader.actor, at=place.at,
        )  # fmt: skip


def test_an_empty_impression_is_named(place: Place, reader: Person, case_number: str) -> None:
    revision = place.write(case_number, reader, {"findings": "n.p."})
    with pytest.raises(Incomplete) as refused:
        place.review(case_number, reader, revision)
    assert refused.value.code == "section_empty.impression"


def test_a_page_belongs_to_the_reader_who_asked_for_it(
    place: Place, reader: Person, case_number: str
) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    other = place.person("reader2", "reader")
    with pytest.raises(NotFound):
        place.sign(case_number, other, page)
    with place.session() as session, pytest.raises(NotFound):
        signing.rendering_pdf(session, place.blobs, page.rendering_id, actor=other.actor)


def test_only_the_reader_who_holds_the_case_writes(place: Place, reader: Person, case_number: str) -> None:
    other = place.person("reader2", "reader")
    place.write(case_number, reader)
    with place.session() as session, pytest.raises(NotAllowed):
        reporting.save_draft(session, case_number, SECTIONS, 1, actor=other.actor, at=place.at)
    with place.session() as session, pytest.raises(StateChangedMeanwhile):
        reading.claim(session, case_number, actor=other.actor, at=place.at)


def test_a_released_draft_is_found_by_the_next_reader(place: Place, reader: Person, case_number: str) -> None:
    revision = place.write(case_number, reader)
    other = place.person("reader2", "reader")
    with place.session() as session:
        reading.release(session, case_number, "end of shift", actor=reader.actor, at=place.at)
        reading.claim(session, case_number, actor=other.actor, at=place.at)
        draft = reporting.draft(session, case_number, actor=other.actor)
    assert (draft.revision, draft.sections["findings"]) == (revision, SECTIONS["findings"])


def test_a_save_on_a_stale_revision_hands_back_the_newest_text(
    place: Place, reader: Person, case_number: str
) -> None:
    revision = place.write(case_number, reader)
    with place.session() as session:
        reporting.save_draft(
            session, case_number, SECTIONS | {"findings": "newer"}, revision, actor=reader.actor, at=place.at
        )
    with place.session() as session, pytest.raises(StateChangedMeanwhile) as stale:
        reporting.save_draft(
            session, case_number, SECTIONS | {"findings": "older"}, revision, actor=reader.actor, at=place.at
        )
    newest = stale.value.newest
    assert isinstance(newest, reporting.DraftView)
    assert (newest.revision, newest.sections["findings"]) == (revision + 1, "newer")


def test_saving_what_is_stored_already_is_no_new_revision(
    place: Place, reader: Person, case_number: str
) -> None:
    revision = place.write(case_number, reader)
    with place.session() as session:
        again = reporting.save_draft(
            session, case_number, SECTIONS, revision - 1, actor=reader.actor, at=place.at
        )
    assert again == revision


def test_the_same_content_gives_the_same_page(place: Place, reader: Person, case_number: str) -> None:
    revision = place.write(case_number, reader)
    one, other = place.review(case_number, reader, revision), place.review(case_number, reader, revision)
    assert one.rendering_id != other.rendering_id
    assert one.pdf_sha256 == other.pdf_sha256


def test_the_worker_signs_the_authorised_digest_and_nothing_else(
    place: Place, reader: Person, case_number: str
) -> None:
    page = place.review(case_number, reader, place.write(case_number, reader))
    place.sign(case_number, reader, page)
    path = place.blobs.path(str(page.pdf_sha256))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"PDF", b"PDG", 1))
    with place.session() as session:
        authorisation_id = session.scalar(select(SignAuthorisation.id)) or 0
    with pytest.raises(InvalidInput):
        signing.sign_version(place.engine, place.blobs, authorisation_id, keys=place.keys(), at=place.at)
    with place.session() as session:
        assert session.scalar(select(ReportVersion.pdf_sha256)) is None


def test_what_is_in_the_outbox_names_ids_only(place: Place, reader: Person, case_number: str) -> None:
    place.review(case_number, reader, place.write(case_number, reader))
    with place.session() as session:
        (row,) = session.scalars(select(OutboxRow))
        assert (row.job, row.subject_id) == ("render_report", session.scalar(select(Rendering.id)))


def second_version(place: Place, reader: Person, kind: str = "addendum") -> tuple[str, str]:
    """Sign a first version, let an image come late, sign a second one; nothing is sealed yet."""
    whole = clean_study(slices=4)
    first = CleanStudy(whole.study_instance_uid, whole.pseudonym, whole.files[:3], whole.listed[:3])
    case_number = place.send(first)
    place.sign(case_number, reader, place.review(case_number, reader, place.write(case_number, reader)))
    place.store(whole.files[3])
    with place.session() as session:
        ingest.receive_manifest(session, whole.manifest(revision=2), actor=place.gateway, at=place.at)
        second = session.scalar(select(Reading.case_number).where(Reading.kind == "addendum"))
    revision = place.write(second, reader)
    with place.session() as session:
        session.execute(update(ReportVersion).where(ReportVersion.version == 2).values(kind=kind))
    place.sign(second, reader, place.review(second, reader, revision))
    return case_number, second


def seal(place: Place, version: int) -> None:
    """Do the worker's part for one version."""
    with place.session() as session:
        given = session.scalar(
            select(SignAuthorisation.id)
            .join(ReportVersion, ReportVersion.id == SignAuthorisation.report_version_id)
            .where(ReportVersion.version == version)
        )
    signing.sign_version(place.engine, place.blobs, given or 0, keys=place.keys(), at=place.at)


def delivery_states(place: Place) -> list[str]:
    with place.session() as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.id)))


def stored_files(place: Place) -> int:
    return sum(1 for path in Path(place.settings.blobs).rglob("*") if path.is_file())


def test_a_version_that_was_superseded_before_its_seal_ends_its_job(place: Place, reader: Person) -> None:
    second_version(place, reader, kind="correction")
    seal(place, 2)
    assert delivery_states(place) == ["superseded", "ready"]
    seal(place, 1)
    assert delivery_states(place) == ["superseded", "ready"]
    with place.session() as session:
        assert all(session.scalars(select(SignAuthorisation.used_at)))
        assert all(session.scalars(select(ReportVersion.pdf_sha256)))


def test_a_seal_that_fails_leaves_no_file_behind(
    place: Place, reader: Person, case_number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.sign(case_number, reader, place.review(case_number, reader, place.write(case_number, reader)))
    before = stored_files(place)

    def refuse(*_: object, **__: object) -> None:
        raise TransitionNotAllowed("as after a change of the table")

    with monkeypatch.context() as patched:
        patched.setattr(signing, "_release_deliveries", refuse)
        for _ in range(3):
            with pytest.raises(TransitionNotAllowed):
                seal(place, 1)
    assert stored_files(place) == before
    seal(place, 1)
    assert stored_files(place) == before + 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_an_addendum_and_its_original_both_go_home(
    place: Place, reader: Person, order: tuple[int, int]
) -> None:
    second_version(place, reader)
    for version in order:
        seal(place, version)
    assert delivery_states(place) == ["ready", "ready"]
    with place.session() as session:
        packages = delivery.packages_for(session, actor=place.gateway)
    assert [(one.version, one.kind) for one in packages] == [(1, "report"), (2, "addendum")]
    for package in reversed(packages):
        with place.session() as session:
            assert session.scalar(select(Reading).where(Reading.kind == "primary")).order.state == "reported"
        proof = DeliveryReceipt(
            package_id=package.package_id, pdf_sha256=package.pdf_sha256, delivered_pdf_sha256="b" * 64,
            route="dicom_store", status="delivered", detail="0x0000", at=place.at,
        )  # fmt: skip
        for event, receipts in (("handed_over", ()), ("delivered", (proof,))):
            with place.session() as session:
                message = PackageEvent(event=event, at=place.at, receipts=receipts)
                delivery.record_event(session, package.package_id, message, actor=place.gateway, at=place.at)
    with place.session() as session:
        assert session.scalar(select(Reading).where(Reading.kind == "primary")).order.state == "closed"


def test_an_image_on_its_way_in_is_waited_for_and_stands_against_signing(
    place: Place, reader: Person
) -> None:
    whole = clean_study(slices=4)
    first = CleanStudy(whole.study_instance_uid, whole.pseudonym, whole.files[:3], whole.listed[:3])
    case_number = place.send(first)
    page = place.review(case_number, reader, place.write(case_number, reader))
    part = place.blobs.new_part()
    part.write_bytes(whole.files[3])
    index = ingest.read_index(part)
    sha256, size = place.blobs.adopt(part)
    with ThreadPoolExecutor(1) as pool:
        with place.session() as session:
            ingest._store_row(session, index, sha256, size, actor=place.gateway, at=place.at)
            with waiting_writer(place) as arrived:
                signing_now = pool.submit(place.sign, case_number, reader, page)
                arrived()
            assert not signing_now.done()
        with pytest.raises(Incomplete) as refused:
            signing_now.result(30)
    assert refused.value.code == "images_added"
