"""Deliveries: what the gateway says, said twice, said wrongly."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from teleread.errors import InvalidInput, NotFound, TransitionNotAllowed
from teleread.services import delivery
from teleread.storage.models.deliveries import Delivery, DeliveryReceiptRow
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import DeliveryReceipt, PackageEvent
from tests.builders.centre import Place, clean_study


@pytest.fixture
def package(place: Place) -> ReportPackage:
    return place.package(place.send(clean_study()), place.person("reader1", "reader"))


def receipt(place: Place, package: ReportPackage) -> DeliveryReceipt:
    return DeliveryReceipt(
        package_id=package.package_id, pdf_sha256=package.pdf_sha256, delivered_pdf_sha256="b" * 64,
        route="dicom_store", status="delivered", detail="0x0000", at=place.at,
    )  # fmt: skip


def say(
    place: Place, package: ReportPackage, event: str, *receipts: DeliveryReceipt, reason: str = ""
) -> str:
    message = PackageEvent(event=event, at=place.at, reason=reason, receipts=receipts)
    with place.session() as session:
        return delivery.record_event(session, package.package_id, message, actor=place.gateway, at=place.at)


def test_saying_an_event_again_changes_nothing(place: Place, package: ReportPackage) -> None:
    proof = receipt(place, package)
    assert say(place, package, "handed_over") == say(place, package, "handed_over") == "in_transit"
    assert say(place, package, "attempt_failed", reason="0xA700") == "retrying"
    assert say(place, package, "handed_over") == "retrying"
    assert say(place, package, "delivered", proof) == say(place, package, "delivered", proof) == "delivered"
    assert say(place, package, "handed_over") == "delivered"
    with place.session() as session:
        assert len(list(session.scalars(select(DeliveryReceiptRow)))) == 1
        assert session.scalar(select(Delivery.attempts)) == 1


def test_a_delivery_without_proof_or_with_a_foreign_one_is_refused(
    place: Place, package: ReportPackage
) -> None:
    say(place, package, "handed_over")
    wrong = replace(receipt(place, package), pdf_sha256="c" * 64)
    for receipts in ((), (wrong,), (replace(receipt(place, package), status="failed"),)):
        with pytest.raises(InvalidInput):
            say(place, package, "delivered", *receipts)


def test_a_doubt_about_the_patient_holds_the_report(place: Place, package: ReportPackage) -> None:
    say(place, package, "handed_over")
    assert say(place, package, "identity_doubt", reason="sex_differs") == "held"
    assert say(place, package, "identity_doubt", reason="sex_differs") == "held"
    with pytest.raises(TransitionNotAllowed):
        say(place, package, "delivered", receipt(place, package))
    with place.session() as session:
        assert delivery.packages_for(session, actor=place.gateway) == []


def test_a_package_that_is_tried_again_is_still_listed(place: Place, package: ReportPackage) -> None:
    say(place, package, "handed_over")
    assert say(place, package, "attempt_failed", reason="0xA700") == "retrying"
    with place.session() as session:
        assert delivery.packages_for(session, actor=place.gateway) == [package]


def test_a_failed_delivery_is_offered_again_when_a_coordinator_says_so(
    place: Place, package: ReportPackage
) -> None:
    say(place, package, "handed_over")
    assert say(place, package, "gave_up", reason="0x0122") == "failed"
    coordinator = place.person("coordinator", "coordinator")
    with place.session() as session:
        assert (
            delivery.retry(session, package.case_number, "PACS is back", actor=coordinator.actor, at=place.at)
            == 1
        )
        assert delivery.packages_for(session, actor=place.gateway) == [package]


def test_another_facility_sees_nothing_of_it(place: Place, package: ReportPackage) -> None:
    other = place.facility("hospital")
    with place.session() as session:
        assert delivery.packages_for(session, actor=other) == []
        with pytest.raises(NotFound):
            delivery.package_pdf(session, place.blobs, package.package_id, actor=other)
        with pytest.raises(NotFound):
            delivery.record_event(
                session,
                package.package_id,
                PackageEvent(event="handed_over", at=place.at),
                actor=other,
                at=place.at,
            )
