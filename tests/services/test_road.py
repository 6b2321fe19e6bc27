"""The centre's part of the main job, from the first instance to the closed order."""

import hashlib

from sqlalchemy import select

from teleread.services import audit, delivery, reading, signing, workflow
from teleread.signatures import check_signatures
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import OutboxRow, WorkflowEvent
from teleread.storage.models.reports import SignAuthorisation
from teleread.storage.models.studies import Study
from teleread.wire.manifest import StudyStatus
from teleread.wire.receipts import DeliveryReceipt, PackageEvent
from tests.builders.centre import Place, clean_study


def event(name: str, place: Place, package_id: str, pdf_sha256: str) -> PackageEvent:
    receipts = ()
    if name == "delivered":
        receipts = (
            DeliveryReceipt(
                package_id=package_id,
                pdf_sha256=pdf_sha256,
                delivered_pdf_sha256="a" * 64,
                route="dicom_store",
                status="delivered",
                detail="0x0000",
                at=place.at,
            ),
        )
    return PackageEvent(event=name, at=place.at, receipts=receipts)


def test_a_study_is_stored_read_signed_and_delivered_once(place: Place) -> None:
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    revision = place.write(case_number, reader)
    page = place.review(case_number, reader, revision)
    assert page.state == "ready"
    signed = place.sign(case_number, reader, page)
    assert (signed.status, signed.already_signed) == ("final", False)

    with place.session() as session:
        assert delivery.packages_for(session, actor=place.gateway) == []
        authorisation_id = session.scalar(select(SignAuthorisation.id))
        jobs = {row.job for row in session.scalars(select(OutboxRow))}
    assert jobs == {"render_report", "sign_report"}
    for _ in range(2):
        signing.sign_version(place.engine, place.blobs, authorisation_id, keys=place.keys(), at=place.at)

    with place.session() as session:
        (package,) = delivery.packages_for(session, actor=place.gateway)
        pdf = delivery.package_pdf(session, place.blobs, package.package_id, actor=place.gateway)
    assert hashlib.sha256(pdf).hexdigest() == package.pdf_sha256
    assert pdf.startswith(place.blobs.read(page.pdf_sha256))
    (verdict,) = check_signatures(pdf, place.keys().ca_pem())
    assert verdict.valid, verdict

    for name in ("handed_over", "handed_over", "delivered", "delivered"):
        with place.session() as session:
            state = delivery.record_event(
                session,
                package.package_id,
                event(name, place, package.package_id, package.pdf_sha256),
                actor=place.gateway,
                at=place.at,
            )
    assert state == "delivered"
    with place.session() as session:
        assert session.scalar(select(Order.state)) == "closed"
        assert delivery.packages_for(session, actor=place.gateway) == []
        changes = [
            (one.machine, one.event)
            for one in session.scalars(select(WorkflowEvent).order_by(WorkflowEvent.id))
        ]
        assert audit.verify_chain(session, place.settings.audit_key()) == []
    assert changes == [
        ("study", "created"),
        ("order", "created"),
        ("order", "study_matched"),
        ("reading", "created"),
        ("study", "manifest_met"),
        ("reading", "inputs_ready"),
        ("reading", "assign"),
        ("reading", "open"),
        ("report_version", "created"),
        ("report_version", "sign"),
        ("reading", "report_signed"),
        ("order", "report_signed"),
        ("delivery", "created"),
        ("delivery", "package_built"),
        ("delivery", "handed_over"),
        ("delivery", "delivered"),
        ("order", "report_delivered"),
    ]


def test_a_facility_hears_promise_reader_and_pause_but_not_who_reads(place: Place) -> None:
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())

    def told() -> StudyStatus:
        with place.session(writes=False) as session:
            uid = session.scalar(select(Study.study_instance_uid)) or ""
            return reading.study_status(session, uid, actor=place.gateway, at=place.at)

    first = told()
    assert (first.display_status, first.is_assigned, first.pause_reason) == ("ready", False, "")
    assert first.due_at is not None
    assert first.due_at > place.at
    place.write(case_number, reader)
    assert (told().display_status, told().is_assigned) == ("reading", True)
    with place.session() as session:
        case = session.scalars(select(Reading)).one()
        workflow.apply(session, case, "hold", actor=reader.actor, at=place.at, reason="前回のCTを待つ")
    assert (told().display_status, told().pause_reason) == ("held", "前回のCTを待つ")
    assert "reader1" not in str(told().to_json())
    with place.session() as session:
        case = session.scalars(select(Reading)).one()
        workflow.apply(session, case, "resume", actor=reader.actor, at=place.at)
    assert told().pause_reason == ""
